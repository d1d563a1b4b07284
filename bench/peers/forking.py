"""The peer of mode forking: socketserver.ForkingTCPServer with the upper handler.

As in the standard library's documentation, but for the queue: its default of 5
would drop handshakes under load, and the figure would be TCP's retransmission
timer. max_children is the class's own 40. Prints "listening 127.0.0.1:PORT"
once it accepts.
"""

import socketserver


class Upper(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.upper())


class Server(socketserver.ForkingTCPServer):
    request_queue_size = 4096


if __name__ == "__main__":
    with Server(("127.0.0.1", 0), Upper) as server:
        print("listening %s:%d" % server.server_address, flush=True)
        server.serve_forever()
