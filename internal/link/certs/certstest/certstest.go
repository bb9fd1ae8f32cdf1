// Package certstest makes authorities and certificates for tests. Like all tests' tools it panics where it cannot go on.
package certstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"time"
)

// Authority signs certificates.
type Authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	// PEM is its own certificate.
	PEM []byte
}

// NewAuthority makes an authority that is valid for ten years from an hour ago.
func NewAuthority(name string) *Authority {
	return NewAuthorityUntil(name, time.Now().AddDate(10, 0, 0))
}

// NewAuthorityUntil makes an authority that expires then.
func NewAuthorityUntil(name string, until time.Time) *Authority {
	key := newKey()
	cert, text := sign(&x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
	}, nil, key, key)
	return &Authority{key: key, cert: cert, PEM: text}
}

// Request says what a certificate is for. Without Until it is valid for a year, without Usages for both ends of a connection.
type Request struct {
	Names  []string
	Until  time.Time
	Usages []x509.ExtKeyUsage
}

// Issue makes a key and a certificate for it, both as PEM.
func (a *Authority) Issue(r Request) (cert, key []byte) {
	if r.Until.IsZero() {
		r.Until = time.Now().AddDate(1, 0, 0)
	}
	if r.Usages == nil {
		r.Usages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	own := newKey()
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "chronik"}, DNSNames: r.Names, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: earlier(time.Now(), r.Until).Add(-time.Hour), NotAfter: r.Until, ExtKeyUsage: r.Usages,
	}
	_, cert = sign(template, a.cert, own, a.key)
	der, err := x509.MarshalPKCS8PrivateKey(own)
	must(err)
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// sign makes a certificate of the subject's key. Without a parent it signs itself.
func sign(template, parent *x509.Certificate, subject, signer *ecdsa.PrivateKey) (*x509.Certificate, []byte) {
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &subject.PublicKey, signer)
	must(err)
	cert, err := x509.ParseCertificate(der)
	must(err)
	return cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	return key
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(err)
	return n
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
