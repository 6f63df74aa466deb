"""curl, nghttp and h2load, as anyone would try them first, in front of Debian's NGINX and a scripted backend."""

import hashlib
import re
import subprocess

import pytest

HUGE = 10 << 20


@pytest.fixture(scope="module")
def front(module_launch, nginx):
    (nginx.www / "1m").write_bytes(b"m" * (1 << 20))
    return module_launch(nginx)


def answering(connection, request):
    if request.target == "/hints":
        connection.send("HTTP/1.1 103 Early Hints\r\nLink: </s.css>; rel=preload\r\n\r\n")
        connection.reply(200, "after hints")
    elif request.target == "/trailers":
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 42\r\n\r\n")
    else:
        connection.reply(200, hashlib.sha256(connection.read_body(request)).hexdigest())


@pytest.fixture(scope="module")
def scripted(module_launch, module_backends):
    return module_launch(module_backends(answering))


def run(*argv, stdin=subprocess.DEVNULL):
    return subprocess.run([str(a) for a in argv], stdin=stdin, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def curl(need, authority):
    need("curl")

    def ask(portico, path, *options, **kwargs):
        host, port = portico.https
        fixed = ["curl", "-sS", "--http2", "--cacert", authority.path, "--resolve", f"a.test:{port}:{host}"]
        return run(*fixed, *options, f"https://a.test:{port}{path}", **kwargs)

    return ask


def test_curl_get(curl, front):
    done = curl(front, "/hello", "-i")
    assert done.stdout.startswith("HTTP/2 200"), done
    assert done.stdout.endswith("hello from nginx\n")


def test_curl_head(curl, front):
    done = curl(front, "/1m", "-I")
    assert done.stdout.startswith("HTTP/2 200"), done
    assert re.search(r"^content-length: 1048576\r?$", done.stdout, re.M)


def test_curl_many_on_one_connection(curl, front):
    host, port = front.https
    urls = [word for i in range(40) for word in ("-o", "/dev/null", f"https://a.test:{port}/1m?{i}")]
    done = curl(front, "/1m", "-Z", "-o", "/dev/null", "-w", "%{http_version} %{http_code} %{size_download}\n", *urls)
    assert done.stdout.splitlines() == ["2 200 1048576"] * 41, done


def test_curl_posts_ten_megabytes(curl, scripted, tmp_path):
    body = tmp_path / "body"
    body.write_bytes(bytes(range(256)) * (HUGE // 256))
    done = curl(scripted, "/", "--data-binary", f"@{body}", "-w", " %{http_version}")
    assert done.stdout == hashlib.sha256(body.read_bytes()).hexdigest() + " 2", done


def test_curl_uploads_what_has_no_length(curl, scripted, tmp_path):
    body = tmp_path / "body"
    body.write_bytes(b"x" * 300000)
    with body.open("rb") as stdin:
        done = curl(scripted, "/", "-T", "-", "-w", " %{http_version}", stdin=stdin)
    assert done.stdout == hashlib.sha256(body.read_bytes()).hexdigest() + " 2", done


def test_curl_sees_early_hints_and_trailers(curl, scripted, tmp_path):
    hints = curl(scripted, "/hints", "-i")
    assert re.match(r"HTTP/2 103.*link: </s.css>; rel=preload.*HTTP/2 200.*after hints$", hints.stdout, re.S), hints
    heads = tmp_path / "heads"
    trailers = curl(scripted, "/trailers", "-D", heads)
    assert trailers.stdout == "abc"
    assert re.search(r"^x-sum: 42\r?$", heads.read_text(), re.M)


def test_nghttp(need, front):
    need("nghttp")
    host, port = front.https
    done = run("nghttp", "-nv", "--no-verify-peer", "-H:authority: a.test", f"https://{host}:{port}/hello")
    assert done.returncode == 0, done
    assert ":status: 200" in done.stdout
    assert re.search(r"SETTINGS_MAX_CONCURRENT_STREAMS\(0x03\):100", done.stdout)
    assert not re.search(r"recv (RST_STREAM|GOAWAY)", done.stdout)


def test_nghttp_with_priorities_and_padding(need, front):
    """Its tree of PRIORITY frames, and padded frames."""
    need("nghttp")
    host, port = front.https
    done = run("nghttp", "-nv", "--no-verify-peer", "-b", "200", "-m", "30", "-H:authority: a.test", f"https://{host}:{port}/hello")
    assert done.returncode == 0 and done.stdout.count(":status: 200") == 30, done


def h2load(front, *options):
    host, port = front.https
    done = run("h2load", *options, f"--connect-to={host}:{port}", f"https://a.test:{port}/hello")
    found = re.search(r"requests: (\d+) total.* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", done.stdout)
    assert found, done
    return [int(word) for word in found.groups()]


@pytest.mark.smoke
def test_h2load_without_a_failure(need, front):
    need("h2load")
    assert h2load(front, "-n", 2000, "-c", 10, "-m", 50) == [2000, 2000, 0, 0, 0]


def test_h2load_at_the_limit_of_streams(need, front):
    need("h2load")
    assert h2load(front, "-n", 3000, "-c", 3, "-m", 100) == [3000, 3000, 0, 0, 0]


def test_h2load_waits_for_the_settings(need, front):
    """It asks for 1,000 at once, and must be kept to 100 by our SETTINGS alone."""
    need("h2load")
    total, succeeded, *_ = h2load(front, "-n", 1000, "-c", 1, "-m", 1000)
    assert (total, succeeded) == (1000, 1000)
