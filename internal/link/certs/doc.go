// Package certs keeps the certificates by which a broker shows others who it is, and knows them (E5, mTLS).
//
// A Keeper reads three files: the broker's certificate, its key, and the authorities that the brokers' certificates are signed by. It looks at them
// again and again while it runs, and takes what has changed, so that certificates are renewed without a restart. Files that do not fit
// together change nothing: the certificate before them goes on. Two weeks before one expires the log says so, once a day.
//
// # What is verified
//
//   - Both ends show a certificate that one of the authorities has signed, for servers and for clients (TLS 1.3, no resumption: each connection is verified anew).
//   - The acceptor's certificate is for the host that was dialled.
//   - A certificate with names of the form chronik-node-<id> is that of these nodes only. One without any may be that of any node: whoever has the key of one
//     broker could then pass for another one, so certificates of one node each are better.
//
// # Concurrency
//
// All methods may be called from any goroutine. Connections take the certificates that are there when they are made, and keep them.
package certs
