package main

import (
	"context"

	"prefork/bench/internal/load"
)

// keepAlive measures HTTP on connections that stay: an answer without work, and files.
func (b *bench) keepAlive(ctx context.Context) error {
	servers := []starter{
		b.netHTTPPeer(1), b.netHTTPPeer(several), b.http(1), b.http(several),
		b.nginxPeer(1), b.nginxPeer(several),
		b.preforkPeer(fasthttp(several), fasthttpProgram, several), b.preforkPeer(fiber(several), fiberProgram, several),
	}
	for _, s := range []struct{ name, title, path, body string }{
		{"http-200", "HTTP keep-alive, an answer of 3 bytes that needs no file", okPath, okBody},
		{"http-1k", "HTTP keep-alive, a file of 1 KiB", smallPath, b.site.small},
		{"http-64k", "HTTP keep-alive, a file of 64 KiB", largePath, b.site.large},
	} {
		err := b.compare(ctx, comparison{
			name: s.name, title: s.title, unit: "request", control: nginxName(1),
			load: "64 connections, one request in flight on each; every body is compared",
			pairs: []pair{
				{Of: httpName(1), By: netHTTP(1)}, {Of: httpName(several), By: netHTTP(several)},
				{Of: httpName(several), By: nginxName(several)}, {Of: httpName(several), By: fasthttp(several)},
			},
			job: load.Job{Kind: load.Persistent, Connections: 64, Path: s.path, Body: s.body, Window: echoWindow},
		}, servers)
		if err != nil {
			return err
		}
	}
	return nil
}
