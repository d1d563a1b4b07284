// Package page is the status page: one HTML document that holds all it needs
// and follows the server by the server-sent events of /events.
//
//	page.html ─┐
//	page.css ──┼─► one document ──► browser ──► GET /events ──► status, log
//	page.js ───┘
//
// It only shows. What comes from elsewhere (an address, a line of the log, what
// a handler says that it does) gets into the document as text and never as
// markup. The policy that the answer carries lets the browser run this script
// and no other, load nothing, and talk to nobody but the server.
package page
