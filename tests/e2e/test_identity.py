"""R9: who the client is, and by which names its request is known: to the backend, to the client and in the log."""

import base64
import re
import socket

import pytest

from support.client import Client

TRUSTED = "127.0.0.1"  # and others up to 127.0.0.7
UNTRUSTED = "127.0.0.9"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
FORWARDING = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Real-IP", "Forwarded"]


class Site:
    """A Portico that trusts 127.0.0.0/29, and its backend."""

    def __init__(self, launch, backends, **variables):
        def answer(connection, request):
            connection.read_body(request)
            said = [("X-Request-ID", "the-backends-own")] if request.target.startswith("/says-id") else []
            connection.reply(200, "ok", said)

        self.backend = backends(answer)
        self.portico = launch(self.backend, TRUSTED_PROXIES="127.0.0.0/29", **variables)
        self.num = 0

    def ask(self, *fields, source=TRUSTED, path="/", plain=False, host="a.test"):
        """What the backend saw, what was answered, and the line of the log."""
        self.num += 1
        path = f"{path}{self.num}"
        before = len(self.backend.seen)
        connect = self.portico.plain if plain else lambda **kwargs: self.portico.tls("a.test", **kwargs)
        with connect(source=source) as client:
            response = client.get(host, path, fields=fields)
        assert response.status == 200
        seen = self.backend.wait_requests(before + 1)
        return seen, response, self.portico.wait_event("access", path=path)


@pytest.fixture(scope="module")
def x(module_launch, module_backends):
    return Site(module_launch, module_backends)


@pytest.fixture(scope="module")
def rfc7239(module_launch, module_backends):
    return Site(module_launch, module_backends, FORWARDED="rfc7239")


@pytest.fixture(scope="module")
def both(module_launch, module_backends):
    return Site(module_launch, module_backends, FORWARDED="both")


@pytest.fixture(scope="module")
def off(module_launch, module_backends):
    return Site(
        module_launch, module_backends, FORWARDED="off", REQUEST_ID="off", TRACEPARENT="off", HTTP_MODE="serve"
    )


def said(seen):
    return {name: seen.all(name) for name in FORWARDING if seen.all(name)}


# --- who the client is ---


def test_r9_an_untrusted_client_says_nothing_of_itself(x):
    fields = [(name, "for=6.6.6.6" if name == "Forwarded" else "6.6.6.6") for name in FORWARDING]
    seen, _, line = x.ask(*fields, ("X-Forwarded-User", "admin"), source=UNTRUSTED)
    assert said(seen) == {
        "X-Forwarded-For": [UNTRUSTED],
        "X-Forwarded-Proto": ["https"],
        "X-Forwarded-Host": ["a.test"],
        "X-Forwarded-Port": ["443"],
        "X-Real-IP": [UNTRUSTED],
    }
    assert seen.all("X-Forwarded-User") == []
    assert line["client"] == UNTRUSTED and "peer" not in line


def test_r9_a_trusted_peer_names_its_client(x):
    seen, _, line = x.ask(("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Host", "b.test:8443"), ("X-Real-IP", "6.6.6.6"))
    assert said(seen) == {
        "X-Forwarded-For": [f"192.0.2.1, {TRUSTED}"],
        "X-Forwarded-Proto": ["https"],
        "X-Forwarded-Host": ["b.test:8443"],
        "X-Forwarded-Port": ["8443"],
        "X-Real-IP": ["192.0.2.1"],
    }
    assert (line["client"], line["peer"]) == ("192.0.2.1", TRUSTED)


@pytest.mark.parametrize(
    "fields, client",
    [
        ([("X-Forwarded-For", "6.6.6.6, 192.0.2.1, 127.0.0.3"), ("X-Forwarded-For", "127.0.0.2:4711")], "192.0.2.1"),
        ([("X-Forwarded-For", "[2001:DB8::1]:80, 127.0.0.3")], "2001:db8::1"),
        ([("X-Forwarded-For", "192.0.2.1, unknown, 127.0.0.3")], "127.0.0.3"),
        ([("X-Forwarded-For", "127.0.0.4, 127.0.0.3")], "127.0.0.4"),
        ([("Forwarded", 'for=6.6.6.6, for="[2001:db8::1]";proto=http, for=127.0.0.3')], "2001:db8::1"),
        ([("Forwarded", 'for=", for=192.0.2.1')], "192.0.2.1"),
        ([("Forwarded", "for=6.6.6.6"), ("X-Forwarded-For", "192.0.2.1")], "192.0.2.1"),
    ],
)
def test_chains_are_read_from_the_right(x, fields, client):
    seen, _, line = x.ask(*fields)
    assert line["client"] == client
    assert seen.all("X-Real-IP") == [client]


def test_the_forms_are_translated_never_mixed(x):
    seen, _, _ = x.ask(("Forwarded", "for=6.6.6.6, for=192.0.2.1;proto=https;host=b.test, for=127.0.0.3"))
    assert seen.all("Forwarded") == []
    assert seen.all("X-Forwarded-For") == [f"192.0.2.1, 127.0.0.3, {TRUSTED}"]
    assert seen.all("X-Forwarded-Host") == ["b.test"]


def test_forwarded_alone(rfc7239):
    seen, _, _ = rfc7239.ask(("X-Forwarded-For", "6.6.6.6"), ("Forwarded", "for=6.6.6.6"), source=UNTRUSTED)
    assert said(seen) == {"Forwarded": [f"for={UNTRUSTED};host=a.test;proto=https"]}


def test_forwarded_goes_on_where_a_trusted_peer_began(rfc7239):
    seen, _, line = rfc7239.ask(("Forwarded", 'for="[2001:db8::1]:80";by=_me'), ("X-Forwarded-For", "6.6.6.6"))
    assert said(seen) == {"Forwarded": [f'for="[2001:db8::1]:80";by=_me, for={TRUSTED};host=a.test;proto=https']}
    assert line["client"] == "2001:db8::1"


def test_x_forwarded_becomes_forwarded(rfc7239):
    seen, _, _ = rfc7239.ask(
        ("X-Forwarded-For", "2001:db8::1, 127.0.0.3"), ("X-Forwarded-Proto", "http"), ("X-Forwarded-Host", "b.test:80")
    )
    chain = f'for="[2001:db8::1]";host="b.test:80";proto=http, for=127.0.0.3, for={TRUSTED};host=a.test;proto=https'
    assert said(seen) == {"Forwarded": [chain]}


def test_both_forms_say_the_same(both):
    seen, _, _ = both.ask(("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "for=6.6.6.6"))
    assert seen.all("X-Forwarded-For") == [f"192.0.2.1, {TRUSTED}"]
    assert seen.all("Forwarded") == [f"for=192.0.2.1, for={TRUSTED};host=a.test;proto=https"]


def test_off_adds_nothing_and_believes_no_stranger(off):
    seen, _, _ = off.ask(("X-Forwarded-For", "6.6.6.6"), ("Forwarded", "for=6.6.6.6"), source=UNTRUSTED)
    assert said(seen) == {}
    seen, _, line = off.ask(("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "http"))
    assert said(seen) == {"X-Forwarded-For": ["192.0.2.1"], "X-Forwarded-Proto": ["http"]}
    assert line["client"] == "192.0.2.1"


def test_the_scheme_is_the_clients_own(off, x):
    assert off.ask(plain=True)[2]["scheme"] == "http"
    assert off.ask(("X-Forwarded-Proto", "https"), plain=True)[2]["scheme"] == "https"
    assert off.ask(("X-Forwarded-Proto", "https"), plain=True, source=UNTRUSTED)[2]["scheme"] == "http"
    seen, _, line = x.ask(("X-Forwarded-Proto", "http"))
    assert (line["scheme"], seen.all("X-Forwarded-Proto"), seen.all("X-Forwarded-Port")) == ("http", ["http"], ["80"])


def test_a_proxy_that_ended_tls_is_not_sent_back_to_https(x):
    seen, response, line = x.ask(("X-Forwarded-Proto", "https"), plain=True)
    assert seen.all("X-Forwarded-Proto") == ["https"] and seen.all("X-Forwarded-Port") == ["443"]
    assert line["scheme"] == "https" and "tls" not in line
    for fields in ([("X-Forwarded-Proto", "http")], []):
        with x.portico.plain(source=TRUSTED) as client:
            assert client.get("a.test", "/", fields=fields).status == 308
    with x.portico.plain(source=UNTRUSTED) as client:
        assert client.get("a.test", "/", fields=[("X-Forwarded-Proto", "https")]).status == 308


@pytest.mark.parametrize("peer, client", [("192.0.2.9", "192.0.2.9"), ("127.0.0.3", "203.0.113.7")])
def test_whom_a_proxy_header_names_is_trusted_by_its_own_address(launch, backends, peer, client):
    """A balancer that speaks the PROXY protocol vouches for an address, not for what comes from there."""
    backend = backends()
    portico = launch(backend, PROXY_PROTOCOL_IN="on", TRUSTED_PROXIES="127.0.0.0/29", HTTP_MODE="serve")
    with portico.plain(source=TRUSTED) as asking:
        asking.send(f"PROXY TCP4 {peer} 127.0.0.1 4711 80\r\n")
        assert asking.get("a.test", "/", fields=[("X-Forwarded-For", "203.0.113.7")]).status == 200
    assert backend.seen[0].all("X-Real-IP") == [client]
    assert portico.wait_event("access")["client"] == client


def test_two_porticos_in_a_row(launch, backends):
    """The outer one knows its client by the connection, the inner one by the outer one's word."""
    backend = backends()
    inner = launch(backend, TRUSTED_PROXIES="127.0.0.1", HTTP_MODE="serve", STORAGE=None, FORWARDED="both")
    host, port = inner.http
    outer = launch(f"http://{host}:{port}", FORWARDED="rfc7239")
    with outer.tls("a.test", source=UNTRUSTED) as client:
        response = client.get("a.test", "/row", fields=[("X-Forwarded-For", "6.6.6.6"), ("Forwarded", "for=6.6.6.6")])
    assert response.status == 200
    seen = backend.wait_requests(1)
    assert seen.all("X-Real-IP") == [UNTRUSTED]
    assert seen.all("X-Forwarded-For") == [f"{UNTRUSTED}, 127.0.0.1"]
    assert seen.all("X-Forwarded-Proto") == ["https"]
    line, first = inner.wait_event("access", path="/row"), outer.wait_event("access", path="/row")
    assert (line["client"], line["peer"], line["scheme"]) == (UNTRUSTED, "127.0.0.1", "https")
    assert line["request_id"] == first["request_id"] == response.get("X-Request-ID")


def test_a_unix_socket_is_as_trusted_as_loopback(launch, backends, tmp_path):
    path = tmp_path / "http.sock"
    backend = backends()
    portico = launch(backend, HTTP_LISTEN=f"unix:{path}", HTTP_MODE="serve", TRUSTED_PROXIES="private")
    for fields, client in ([[("X-Forwarded-For", "192.0.2.1")], "192.0.2.1"], [[], "unix"]):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(path))
        with Client(sock) as asking:
            assert asking.get("a.test", f"/{client}", fields=fields).status == 200
        assert portico.wait_event("access", path=f"/{client}")["client"] == client
    assert backend.seen[0].all("X-Forwarded-For") == ["192.0.2.1, unknown"]
    assert backend.seen[1].all("X-Real-IP") == []


# --- by which names the request is known ---


def test_a_request_gets_an_id_that_all_are_told(x):
    seen, response, line = x.ask(source=UNTRUSTED)
    made = line["request_id"]
    assert re.fullmatch("[0-9a-f]{32}", made)
    assert seen.all("X-Request-ID") == response.all("X-Request-ID") == [made]
    assert x.ask(source=UNTRUSTED)[2]["request_id"] != made


def test_an_answer_of_our_own_has_the_id_too(x):
    mark = x.portico.mark()
    with x.portico.plain() as client:
        response = client.get("a.test", "/moved")
    assert response.status == 308
    assert response.all("X-Request-ID") == [x.portico.wait_event("access", since=mark, path="/moved")["request_id"]]


def test_a_refused_request_has_an_id_too(x):
    mark = x.portico.mark()
    with x.portico.tls("a.test") as client:
        response = client.get("a.test", "/refused", fields=[("Bad Field", "1"), ("X-Request-ID", "forged")])
    assert response.status == 400
    line = x.portico.wait_event("access", since=mark, status=400)
    assert response.all("X-Request-ID") == [line["request_id"]] != ["forged"]


def test_the_backends_own_id_is_not_covered(x):
    _, response, _ = x.ask(path="/says-id")
    assert response.all("X-Request-ID") == ["the-backends-own"]


def test_a_trusted_peers_id_stays(x):
    seen, response, line = x.ask(("x-request-id", "abc-123"))
    assert seen.all("X-Request-ID") == response.all("X-Request-ID") == [line["request_id"]] == ["abc-123"]


@pytest.mark.parametrize("sent", [["with blank"], ["x" * 129], ["one", "two"], [""]])
def test_r9_an_id_that_is_none_is_replaced(x, sent):
    seen, _, _ = x.ask(*(("X-Request-ID", value) for value in sent))
    assert len(seen.all("X-Request-ID")) == 1
    assert re.fullmatch("[0-9a-f]{32}", seen.get("X-Request-ID"))


def test_r9_an_untrusted_clients_id_is_replaced(x):
    seen, _, line = x.ask(("X-Request-ID", "forged"), source=UNTRUSTED)
    assert seen.all("X-Request-ID") == [line["request_id"]] != ["forged"]


def test_connection_cannot_take_the_id_away(x):
    seen, _, _ = x.ask(("Connection", "X-Request-ID, traceparent"), ("traceparent", PARENT), source=UNTRUSTED)
    assert len(seen.all("X-Request-ID")) == 1
    assert seen.all("traceparent") == [PARENT]


def test_ids_pass(launch, backends):
    site = Site(launch, backends, REQUEST_ID="pass", TRACEPARENT="generate")
    seen, response, line = site.ask(("X-Request-ID", "mine"), source=UNTRUSTED)
    assert seen.all("X-Request-ID") == [line["request_id"]] == ["mine"]
    assert response.all("X-Request-ID") == []
    for bad in (["a b"], ["one", "two"], []):
        seen, _, line = site.ask(*(("X-Request-ID", value) for value in bad), source=UNTRUSTED)
        assert seen.all("X-Request-ID") == [] and "request_id" not in line


def test_identifiers_off(off):
    seen, response, line = off.ask(("X-Request-ID", "mine"), ("traceparent", PARENT), ("tracestate", "a=1"))
    for name in ("X-Request-ID", "traceparent", "tracestate"):
        assert seen.all(name) == []
    assert response.all("X-Request-ID") == []
    assert "request_id" not in line and "trace_id" not in line


def test_traceparent_passes(x):
    seen, _, line = x.ask(("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2"), source=UNTRUSTED)
    assert seen.all("traceparent") == [PARENT]
    assert seen.all("tracestate") == ["a=1", "b=2"]
    assert line["trace_id"] == TRACE


@pytest.mark.parametrize("sent", [[PARENT.upper()], [PARENT, PARENT], [PARENT + "-00"], [PARENT.replace(TRACE, "0" * 32)], []])
def test_r9_a_traceparent_that_is_none_takes_tracestate_along(x, sent):
    seen, _, line = x.ask(*(("traceparent", value) for value in sent), ("tracestate", "a=1"))
    assert seen.all("traceparent") == seen.all("tracestate") == []
    assert "trace_id" not in line


def test_traceparent_is_made_or_gone_on_with(launch, backends):
    site = Site(launch, backends, TRACEPARENT="generate")
    seen, _, line = site.ask(("traceparent", "no"), ("tracestate", "a=1"))
    made = re.fullmatch("00-([0-9a-f]{32})-[0-9a-f]{16}-01", seen.get("traceparent"))
    assert made[1] == line["trace_id"] and seen.all("tracestate") == []
    seen, _, line = site.ask(("traceparent", PARENT), ("tracestate", "a=1"))
    went_on = re.fullmatch(f"00-{TRACE}-([0-9a-f]{{16}})-01", seen.get("traceparent"))
    assert went_on[1] != PARENT.split("-")[2] and seen.all("tracestate") == ["a=1"]
    assert line["trace_id"] == TRACE


# --- the access log ---


def test_the_line_tells_it_all(x):
    _, _, line = x.ask(("User-Agent", "a/1"), ("Referer", "https://r.test/p?q#f"), source=UNTRUSTED)
    assert (line["user_agent"], line["referer"]) == ("a/1", "https://r.test/p")
    assert line["tls_cipher"].startswith("TLS_AES_") or line["tls_cipher"].startswith("TLS_CHACHA20_")
    assert "alpn" not in line  # none was offered
    assert 0 <= line["upstream_ms"] < 5000
    assert line.get("upstream_reused") is True or line["connect_ms"] >= 0


def test_reuse_and_connecting_are_told_apart(launch, backends):
    site = Site(launch, backends, WORKERS="1")
    first, second = site.ask()[2], site.ask()[2]
    assert "connect_ms" in first and "upstream_reused" not in first
    assert second["upstream_reused"] is True and "connect_ms" not in second


def test_an_answer_of_our_own_names_no_upstream_times(x):
    with x.portico.tls("a.test") as client:
        assert client.get("b2.test", "/nowhere").status == 421
    line = x.portico.wait_event("access", path="/nowhere")
    assert not {"upstream", "upstream_ms", "connect_ms", "upstream_reused"} & set(line)


def test_the_clients_address_in_the_common_format(launch, backends):
    site = Site(launch, backends, ACCESS_LOG="combined")
    before = len(site.backend.seen)
    with site.portico.tls("a.test", source=TRUSTED) as client:
        client.get("a.test", "/c", fields=[("X-Forwarded-For", "192.0.2.1"), ("Referer", "https://u:p@r.test/")])
    site.backend.wait_requests(before + 1)
    site.portico.wait_line(r'^192\.0\.2\.1 - - \[.*\] "GET /c HTTP/1\.1" 200 2 "-" "-"$')


def test_the_name_of_a_password_that_was_right(launch, backends):
    portico = launch(backends(), BASIC_AUTH="ann:$2b$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy")
    for path, password in (("/right", "open sesame"), ("/remembered", "open sesame"), ("/wrong", "guess")):
        value = base64.b64encode(f"ann:{password}".encode()).decode()
        with portico.tls("a.test") as client:
            client.get("a.test", path, fields=[("Authorization", f"Basic {value}")])
    assert portico.wait_event("access", path="/right")["user"] == "ann"
    assert portico.wait_event("access", path="/remembered")["user"] == "ann"
    assert "user" not in portico.wait_event("access", path="/wrong")


def test_allowed_addresses_are_those_of_clients(launch, backends):
    portico = launch(backends(), TRUSTED_PROXIES=TRUSTED, ALLOW_IPS="192.0.2.0/24")
    for source, fields, status in (
        (TRUSTED, [("X-Forwarded-For", "192.0.2.1")], 200),
        (TRUSTED, [("X-Forwarded-For", "192.0.2.1, 203.0.113.9")], 403),
        (TRUSTED, [], 403),
        (UNTRUSTED, [("X-Forwarded-For", "192.0.2.1")], 403),
    ):
        with portico.tls("a.test", source=source) as client:
            assert client.get("a.test", "/", fields=fields).status == status


@pytest.mark.parametrize("log", ["json", "common", "combined"])
def test_no_secret_reaches_the_log(launch, backends, log):
    """Sent wherever one can stand, in requests that are served and in those that are refused."""
    portico = launch(backends(), ACCESS_LOG=log, TRUSTED_PROXIES="127.0.0.1")
    secret = "hunter2"
    fields = [
        ("Authorization", f"Basic {secret}"),
        ("Proxy-Authorization", secret),
        ("Cookie", f"session={secret}"),
        ("Referer", f"https://user:{secret}@r.test/?token={secret}#{secret}"),
        ("X-Api-Key", secret),
        ("X-Forwarded-For", secret),
        ("Forwarded", f"for={secret}"),
        ("X-Forwarded-Host", f"user:{secret}@a.test"),
        ("tracestate", secret),
        ("X-Request-ID", f"{secret} with a blank"),
    ]
    targets = [
        f"/?token={secret}",
        f"https://a.test/?token={secret}",
        f"https://user:{secret}@a.test/",
        f"/path#{secret}",
        "/bad\x01",
    ]
    for target in targets:
        for more in ([], [("Bad Field", secret)], [("Transfer-Encoding", secret)]):
            with portico.tls("a.test") as client:
                client.get("a.test", target, fields=fields + more)
    with portico.plain() as client:
        client.get(f"user:{secret}@a.test", "/", fields=fields)
    with portico.plain() as client:
        client.get("a.test", f"/?{secret}", fields=fields)
    assert portico.terminate() == 0
    assert len(portico.lines) > len(targets)
    leaks = [line for line in portico.lines if secret in line]
    assert not leaks, leaks
