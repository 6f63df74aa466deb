"""NGINX from Debian as a backend."""

from .ports import free_port, wait_port
from .process import Process

CONFIG = """
daemon off;
master_process off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    keepalive_requests 1000000;
    client_max_body_size 0;
    server {{
        listen {listen} backlog=4096;
        {more}
        root {directory}/www;
        location = /hello {{ default_type text/plain; return 200 "hello from nginx\\n"; }}
        location = /client {{ default_type text/plain; return 200 "$remote_addr $remote_port\n"; }}
        location = /headers {{
            default_type text/plain;
            return 200 "$http_host $http_x_forwarded_for $http_x_forwarded_proto $http_x_real_ip\\n";
        }}
    }}
}}
"""


class Nginx:
    """Started at once; `www` is its document root."""

    def __init__(self, directory, path=None, proxy_protocol=False, h2c=False):
        directory.mkdir(parents=True, exist_ok=True)
        self.www = directory / "www"
        self.www.mkdir()
        self.port = None if path else free_port()
        self.url = f"unix:{path}" if path else f"{'h2c' if h2c else 'http'}://127.0.0.1:{self.port}"
        config = directory / "nginx.conf"
        listen = (f"unix:{path}" if path else f"127.0.0.1:{self.port}") + (" http2" if h2c else "")
        more = ""
        if proxy_protocol:
            listen += " proxy_protocol"
            more = "set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol;"
        config.write_text(CONFIG.format(directory=directory, listen=listen, more=more))
        env = {"PATH": "/usr/sbin:/usr/bin:/bin"}
        self.process = Process("nginx", ["nginx", "-p", str(directory), "-c", str(config), "-e", "stderr"], env=env)
        if path:
            self.process.wait_until(path.exists, f"socket {path}")
        else:
            wait_port(self.process, self.port)

    def close(self):
        self.process.stop()
