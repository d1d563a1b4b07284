// Package page is the status page: one HTML document that holds all it needs
// and follows the server by the server-sent events of /events.
//
//	page.html ─┐
//	page.css ──┼─► one document ──► browser ──► GET /events ──► status, log
//	page.js ───┘
//
// It changes nothing. Addresses, log lines and what a handler says that it does are
// inserted as text, never as markup. The policy of the answer allows this script
// alone, no other resource, and connections to the server alone.
package page
