"""The peers in Python: socketserver's mix-ins with the upper handler.

As in the standard library's documentation, but for the queue: its default of 5
would drop handshakes under load, and the figure would be TCP's retransmission
timer. max_children is the class's own 40.

    python.py ForkingTCPServer|ThreadingTCPServer

Prints "listening 127.0.0.1:PORT" once it accepts.
"""

import socketserver
import sys


class Upper(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.upper())


if __name__ == "__main__":
    base = getattr(socketserver, sys.argv[1])
    server = type("Server", (base,), {"request_queue_size": 4096, "daemon_threads": True})
    with server(("127.0.0.1", 0), Upper) as s:
        print("listening %s:%d" % s.server_address, flush=True)
        s.serve_forever()
