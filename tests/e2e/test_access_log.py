"""One access line per request, when it is over: in each format, escaped, without what may be secret."""

import re

import pytest

from support.client import Cut


@pytest.fixture(scope="module")
def portico(module_launch, module_backends):
    def answer(connection, request):
        connection.read_body(request)
        if request.target == "/cut":
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            connection.close()
        else:
            connection.reply(200, "x" * 100)

    return module_launch(module_backends(answer))


def line_of(portico, path):
    return portico.wait_event("access", path=path)


def test_a_request(portico):
    with portico.tls("a.test") as client:
        client.send("POST /json HTTP/1.1\r\nHost: A.test:443\r\nContent-Length: 5\r\n\r\nhello")
        client.read_response()
    line = line_of(portico, "/json")
    expected = {
        "client": "127.0.0.1",
        "method": "POST",
        "host": "a.test",
        "protocol": "HTTP/1.1",
        "status": 200,
        "bytes_in": 5,
        "bytes_out": 100,
        "tls": "TLSv1.3",
        "tls_resumed": False,
    }
    assert {key: line[key] for key in expected} == expected
    assert line["upstream"].startswith("http://127.0.0.1:")
    assert 0 <= line["duration_ms"] < 5000
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["ts"])


def test_the_query_is_not_logged(portico):
    portico.get("a.test", "/query?token=SECRET")
    line_of(portico, "/query")
    assert not any("SECRET" in line for line in portico.lines)


def test_fields_with_secrets_are_not_logged(portico):
    with portico.tls("a.test") as client:
        client.get("a.test", "/fields", fields=[("Authorization", "Bearer SECRET2"), ("Cookie", "s=SECRET2")])
        client.send("GET /broken HTTP/1.1\r\nHost: a.test\r\nAuthorization: SECRET2\r\nBad Field: SECRET2\r\n\r\n")
        client.read_response()
    portico.wait_event("request_refused")
    assert not any("SECRET2" in line for line in portico.lines)


def test_a_redirect_and_a_refusal_have_lines_too(portico):
    with portico.plain() as client:
        client.get("a.test", "/redirected")
        client.get("c.test", "/unknown")
    assert line_of(portico, "/redirected")["status"] == 308
    assert line_of(portico, "/unknown")["status"] == 421
    assert "upstream" not in line_of(portico, "/unknown")


def test_a_request_that_was_none(portico):
    mark = portico.mark()
    with portico.tls("a.test") as client:
        client.send("\x01\x02\r\n\r\n")
        client.read_response()
    assert portico.wait_event("access", since=mark)["status"] == 400


def test_an_answer_that_was_cut_says_so(portico):
    with portico.tls("a.test") as client, pytest.raises(Cut):
        client.get("a.test", "/cut")
    line = line_of(portico, "/cut")
    assert (line["status"], line["aborted"], line["bytes_out"]) == (200, True, 4)
    assert line["failure"]


def test_a_long_path_is_cut(portico):
    portico.get("a.test", "/" + "l" * 4000)
    line = portico.wait_until(
        lambda: [e for e in portico.access() if e.get("path", "").startswith("/lll")], "line of the long path"
    )[0]
    assert len(line["path"]) <= 256


def test_a_bad_client_cannot_write_lines_of_its_own(portico):
    """Quotes and escapes in a path stay inside their JSON string."""
    portico.get("a.test", '/q"},{"event":"forged"}')
    portico.wait_until(lambda: portico.find_events("access", path='/q"},{"event":"forged"}'), "escaped line")
    assert not portico.find_events("forged") and not portico.find_events("unreadable_line")


@pytest.mark.parametrize(
    "format, pattern",
    [
        ("common", r'^127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET /f HTTP/1\.1" 200 100$'),
        (
            "combined",
            r'^127\.0\.0\.1 - - \[[^]]+\] "GET /f HTTP/1\.1" 200 100 "https://r\.example/" "an agent\\"x\\""$',
        ),
    ],
)
def test_other_formats(launch, backends, format, pattern):
    portico = launch(backends(lambda c, r: c.reply(200, "x" * 100)), ACCESS_LOG=format)
    with portico.tls("a.test") as client:
        client.get("a.test", "/f?q", fields=[("Referer", "https://r.example/?secret"), ("User-Agent", 'an agent"x"')])
    portico.wait_line(pattern)


def test_off(launch, backends):
    portico = launch(backends(), ACCESS_LOG="off")
    assert portico.get("a.test").status == 200
    assert portico.terminate() == 0
    assert not portico.access()


def test_text_form_of_the_log(launch, backends):
    portico = launch(backends(), LOG_FORMAT="text", wait=False)
    portico.wait_line(r"^\S+Z INFO  started .*version=\d+\.\d+\.\d+ workers=2")
