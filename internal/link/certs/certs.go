package certs

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// Files names the files of one broker, all of them PEM.
type Files struct {
	Certificate string // and the intermediate ones that lead to an authority
	Key         string
	Authorities string // one or, while one replaces another, several
}

// hash identifies what the files hold.
type hash [sha256.Size]byte

// set is what the files hold at one time.
type set struct {
	server, client *tls.Config
	certificates   []*x509.Certificate // whose expiry matters: the broker's own, those above it, and the authorities
	leaf           *x509.Certificate
}

// contents reads the files.
func (f *Files) contents(read func(string) ([]byte, error)) (cert, key, authorities []byte, err error) {
	for _, one := range []struct {
		setting, name string
		to            *[]byte
	}{{"cluster-tls-cert", f.Certificate, &cert}, {"cluster-tls-key", f.Key, &key}, {"cluster-tls-ca", f.Authorities, &authorities}} {
		if *one.to, err = read(one.name); err != nil {
			return nil, nil, nil, fmt.Errorf("%s: %w", one.setting, err)
		}
	}
	return cert, key, authorities, nil
}

func hashOf(parts ...[]byte) hash {
	h := sha256.New()
	for _, p := range parts {
		sum := sha256.Sum256(p)
		h.Write(sum[:])
	}
	return hash(h.Sum(nil))
}

// parse makes a set of what the files hold, if other brokers will accept it.
func (f *Files) parse(cert, key, authorities []byte, now time.Time) (*set, error) {
	own, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("cluster-tls-cert %s and cluster-tls-key %s: %w", f.Certificate, f.Key, err)
	}
	pool, roots, err := readAuthorities(authorities)
	if err != nil {
		return nil, fmt.Errorf("cluster-tls-ca %s: %w", f.Authorities, err)
	}
	s := &set{leaf: own.Leaf}
	between := x509.NewCertPool()
	for i, der := range own.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("cluster-tls-cert %s: %w", f.Certificate, err)
		}
		if s.certificates = append(s.certificates, c); i > 0 {
			between.AddCert(c)
		}
	}
	s.certificates = append(s.certificates, roots...)
	for _, use := range []struct {
		usage x509.ExtKeyUsage
		name  string
	}{{x509.ExtKeyUsageServerAuth, "a server (serverAuth)"}, {x509.ExtKeyUsageClientAuth, "a client (clientAuth)"}} {
		_, err := s.leaf.Verify(x509.VerifyOptions{Roots: pool, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{use.usage}})
		if err != nil {
			return nil, fmt.Errorf("cluster-tls-cert %s cannot be that of %s, which every broker is, by the authorities in %s: %w", f.Certificate, use.name, f.Authorities, err)
		}
	}
	// The clock is package time's, also in tests where that is virtual. Records are never small: what is written is whole batches.
	base := tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS13, Time: time.Now, DynamicRecordSizingDisabled: true}
	s.client, s.server = base.Clone(), base.Clone()
	s.client.RootCAs = pool
	s.server.ClientCAs, s.server.ClientAuth, s.server.SessionTicketsDisabled = pool, tls.RequireAndVerifyClientCert, true
	return s, nil
}

// readAuthorities reads certificates that may sign others.
func readAuthorities(text []byte) (*x509.CertPool, []*x509.Certificate, error) {
	pool := x509.NewCertPool()
	var all []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, nil, fmt.Errorf("it holds a %s: only certificates belong there", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, nil, err
		}
		pool.AddCert(c)
		all = append(all, c)
	}
	if len(bytes.TrimSpace(text)) > 0 || len(all) == 0 {
		return nil, nil, errors.New("it is not a list of certificates in PEM")
	}
	return pool, all, nil
}

// ends is the certificate that expires first.
func (s *set) ends() *x509.Certificate {
	first := s.certificates[0]
	for _, c := range s.certificates[1:] {
		if c.NotAfter.Before(first.NotAfter) {
			first = c
		}
	}
	return first
}
