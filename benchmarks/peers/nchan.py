"""nginx with nchan, and the publisher that posts to it.

The server is nginx: one worker, on the server's core. The publisher is this process, on the core of
the load generator: it posts over one connection that stays open, without waiting for the answers.

    python -m benchmarks.peers.nchan
"""

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Final

from benchmarks.peers.pace import Order, Ticks, begin, say
from market.events import Tick
from market.wire import encode

SERVER_CORE: Final = "BENCHMARK_SERVER_CORE"
MODULES: Final = (
    Path("/usr/lib/nginx/modules/ngx_nchan_module.so"),
    Path("/usr/lib64/nginx/modules/ngx_nchan_module.so"),
)
CONFIG: Final = """
load_module {module};
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid {folder}/pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  nchan_shared_memory_size 512M;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /publish {{
      nchan_publisher;
      nchan_channel_id ticks;
      nchan_message_buffer_length 10000;
      nchan_message_timeout 30s;
    }}
    location = /stream {{
      nchan_subscriber eventsource;
      nchan_channel_id ticks;
      nchan_subscriber_first_message newest;
    }}
    location = /metrics {{ nchan_stub_status; }}
  }}
}}
"""


def module() -> Path | None:
    """Return where nchan is, if nginx and nchan are installed."""
    if shutil.which("nginx") is None:
        return None
    return next((path for path in MODULES if path.exists()), None)


def nginx(folder: str, port: int) -> subprocess.Popen[bytes]:
    """Start nginx with a configuration of our own; what it writes goes into ``folder``."""
    config = Path(folder) / "nginx.conf"
    config.write_text(CONFIG.format(module=module(), folder=folder, port=port))
    core = os.environ.get(SERVER_CORE)
    prefix = ["taskset", "-c", core] if core and shutil.which("taskset") else []
    program = shutil.which("nginx") or "nginx"
    return subprocess.Popen([*prefix, program, "-p", folder, "-c", str(config)])


def connected(port: int) -> socket.socket:
    """Return a connection to nginx, once it listens; raise OSError when it never does."""
    for _ in range(200):
        try:
            connection = socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
    raise OSError(f"nginx does not listen on {port}")


def post(tick: Tick) -> bytes:
    """Return the request that publishes one tick."""
    data = encode(tick)
    head = b"POST /publish HTTP/1.1\r\nHost: x\r\nX-EventSource-Event: tick\r\n"
    return b"%bContent-Length: %d\r\n\r\n%b" % (head, len(data), data)


def carry_out(order: Order, connection: socket.socket, ticks: Ticks) -> None:
    """Publish at the pace of the order; throw the answers away."""
    started, posts = begin(order, lambda at: map(post, ticks.of(order, at)))
    done, worst = 0, 0.0
    while done < order.count:
        elapsed = time.time() - started
        worst = max(worst, elapsed - done / order.rate)
        burst = order.due(elapsed) - done
        connection.sendall(b"".join(islice(posts, burst)))
        done += burst
        while select.select([connection], [], [], 0)[0]:
            connection.recv(1 << 18)
        time.sleep(order.pause_s(time.time() - started, done))
    say(published=done, late_ms=round(1000 * worst, 1))


def main() -> None:
    """Run nginx until the load generator has gone."""
    with socket.socket() as held, tempfile.TemporaryDirectory() as folder:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))  # where nobody else can come before nginx, which may
        port = held.getsockname()[1]
        Path(folder).chmod(0o755)  # its worker is another user
        server = nginx(folder, port)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            connection, ticks = connected(port), Ticks()
            say(port=port, server_pid=server.pid)
            for line in sys.stdin:
                carry_out(Order.parse(line), connection, ticks)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
