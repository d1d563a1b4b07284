#!/usr/bin/env python3
"""wrk and `prefork load` on the same nginx, in turns.

    python3 generators.py [--rounds 7] [--seconds 3] [--prefork PROGRAM]

Needs nginx, wrk and Go (to build prefork, unless --prefork names one). Both
generators have one thread and 32 connections that stay. nginx has one worker
process, on a port of loopback, with a configuration of its own. There are two
targets: a page that nginx compresses anew each time, where the server is the
limit, and `return 200`, where the generator is. What is told is the ratio
prefork / wrk of each round: its median, the least and the greatest.
"""

import argparse
import json
import os
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

CONFIG = """
daemon off; master_process off; worker_processes 1; pid {dir}/pid; error_log {dir}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_temp_path {dir}/b; proxy_temp_path {dir}/p;
  fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  server {{
    listen 127.0.0.1:{port};
    location = /ok {{ return 200 "hello, world\\n"; }}
    location = /page {{ root {dir}; default_type text/plain; gzip on; gzip_types text/plain; gzip_comp_level 4; }}
  }}
}}
"""
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


def cost(command):
    """Runs a command; returns its output and its processor time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=120, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def wrk(url, seconds):
    out, cpu = cost(["wrk", "-t1", "-c32", f"-d{seconds}s", "--latency", "-H", "Accept-Encoding: gzip", url])
    if "Non-2xx" in out or "Socket errors" in out:
        sys.exit("wrk met errors:\n" + out)
    requests = int(re.search(r"(\d+) requests in", out)[1])

    def quantile(name):
        value, unit = re.search(rf"^\s+{name}%\s+([\d.]+)(\w+)$", out, re.M).groups()
        return float(value) * UNITS[unit]

    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])
    return {"rate": rate, "p50": quantile(50), "p99": quantile(99), "cpu": cpu / requests}


def prefork(program, url, seconds):
    out, cpu = cost([program, "load", url, "-c", "32", "--loops", "1", "-d", f"{seconds}s",
                     "--header", "Accept-Encoding: gzip", "--json", "--fail", "errors>0"])
    run = json.loads(out)
    latency = run["uncorrected"]  # wrk corrects nothing
    return {"rate": run["requests_per_s"], "p50": latency["p50_s"], "p99": latency["p99_s"], "cpu": cpu / run["requests"]}


def nginx(directory):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with open(f"{directory}/page", "w", encoding="ascii") as page:
        page.write("".join(f"{n * 2654435761 % 4294967296:08x} line {n} of a page\n" for n in range(400)))
    with open(f"{directory}/nginx.conf", "w", encoding="ascii") as config:
        config.write(CONFIG.format(dir=directory, port=port))
    server = subprocess.Popen(["nginx", "-e", f"{directory}/error.log", "-c", f"{directory}/nginx.conf", "-p", directory])
    for _ in range(200):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return server, f"http://127.0.0.1:{port}"
        time.sleep(0.02)
    server.kill()
    sys.exit("nginx does not listen")


def compare(program, url, rounds, seconds):
    pairs = []
    for n in range(rounds):
        order = [lambda: wrk(url, seconds), lambda: prefork(program, url, seconds)]
        results = [order[i]() for i in ((0, 1) if n % 2 == 0 else (1, 0))]
        w, p = results if n % 2 == 0 else results[::-1]
        pairs.append((w, p))
        print(f"  round {n + 1}: wrk {w['rate']:.0f}/s p50 {w['p50'] * 1e6:.0f} p99 {w['p99'] * 1e6:.0f} us, "
              f"prefork {p['rate']:.0f}/s p50 {p['p50'] * 1e6:.0f} p99 {p['p99'] * 1e6:.0f} us", file=sys.stderr)
    cells = []
    for key in ("rate", "p50", "p99", "cpu"):
        ratios = [p[key] / w[key] for w, p in pairs]
        cells.append(f"{statistics.median(ratios):.3f} ({min(ratios):.2f}-{max(ratios):.2f})")
    return cells


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, choices=range(1, 101), metavar="N")
    parser.add_argument("--seconds", type=int, default=3, choices=range(1, 31), metavar="N")
    parser.add_argument("--prefork")
    args = parser.parse_args()
    for tool in ("nginx", "wrk"):
        if not shutil.which(tool):
            sys.exit(f"there is no {tool} here")
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        program = args.prefork
        if not program:
            program = f"{directory}/prefork"
            subprocess.run(["go", "build", "-o", program, "./cmd/prefork"], check=True,
                           cwd=os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
        server, base = nginx(directory)
        try:
            print("| target | rate | p50 | p99 | client CPU per request |\n|---|---|---|---|---|")
            for name, path in (("a page compressed anew", "/page"), ("`return 200`", "/ok")):
                print(f"| {name} | " + " | ".join(compare(program, base + path, args.rounds, args.seconds)) + " |", flush=True)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(10)


main()
