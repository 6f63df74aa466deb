"""A reload: what changed applies without a restart and without a failed request; a mistake refuses the whole of it."""

import re
import signal
import socket
import ssl
import subprocess
import threading

import pytest
from cryptography import x509

from support.certs import parse
from support.client import connect, connect_tls
from support.ports import eventually, free_port
from support.swaps import QUICK, Background, wait_published
from support.volume import Folder, Volume


@pytest.fixture
def folder(tmp_path):
    """Factory of an ENV_DIR."""
    return lambda **files: Folder(tmp_path / "env", **files)


@pytest.fixture
def launch_dir(launch):
    """With all that matters in ENV_DIR; names of .test are signed by the local CA."""

    def start(place, **variables):
        return launch(**{"DOMAINS": None, "ENV_DIR": place.path, **variables})

    return start


def named(backends, text):
    return backends(lambda connection, request: connection.reply(200, text))


def hup(portico):
    """The answer to a reload that was asked for."""
    mark = portico.mark()
    portico.signal(signal.SIGHUP)
    portico.wait_until(
        lambda: portico.find_events("reloaded", mark) or portico.find_events("reload_refused", mark), "an answer to HUP"
    )
    return mark


def listening(portico, listener, since):
    host, port = portico.wait_event("listening", since=since, listener=listener)["address"].rsplit(":", 1)
    return host, int(port)


# --- what applies ---


def test_a_route_changes_on_a_connection_that_stays(launch_dir, backends, folder):
    first, second = named(backends, b"first"), named(backends, b"second")
    place = folder(DOMAINS="a.test", UPSTREAM=first.url)
    portico = launch_dir(place)
    with portico.tls("a.test") as client:
        assert client.get("a.test").body == b"first"
        place.write("UPSTREAM", second.url)
        mark = hup(portico)
        assert portico.wait_event("reloaded", since=mark)["changed"] == "PORTICO_UPSTREAM"
        eventually(lambda: client.get("a.test").body == b"second", "the new backend")


def test_a_request_in_flight_ends_with_what_it_began_with(launch_dir, backends, folder):
    gate = threading.Event()
    slow = backends(lambda connection, request: (gate.wait(20), connection.reply(200, b"old")))
    other = named(backends, b"new")
    place = folder(DOMAINS="a.test", UPSTREAM=slow.url)
    portico = launch_dir(place)
    with portico.tls("a.test") as client:
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        slow.wait_requests(1)
        place.write("UPSTREAM", other.url)
        portico.wait_event("reloaded")
        eventually(lambda: portico.get("a.test").body == b"new", "the new backend")
        gate.set()
        assert client.read_response().body == b"old"


def test_connections_to_a_backend_that_is_gone_are_closed(launch_dir, backends, folder):
    first, second = named(backends, b"first"), named(backends, b"second")
    place = folder(DOMAINS="a.test", UPSTREAM=first.url, UPSTREAM_IDLE_TIMEOUT="1h", WORKERS="1")
    portico = launch_dir(place, WORKERS=None)
    assert portico.get("a.test").body == b"first"
    assert not first.connections[0].closed
    place.write("UPSTREAM", second.url)
    eventually(lambda: first.connections[0].closed, "the idle connection to close")
    assert len(first.connections) == 1


def test_a_name_is_added_and_served_by_the_local_ca(launch_dir, backends, folder):
    place = folder(DOMAINS="a.test", UPSTREAM=backends().url)
    portico = launch_dir(place)
    assert portico.shown("new.test") is None
    place.write("DOMAINS", "a.test, new.test")
    reloaded = portico.wait_event("reloaded")
    assert (reloaded["names_added"], reloaded["names_removed"]) == (1, 0)
    eventually(lambda: portico.shown("new.test"), "the new name")
    assert portico.get("new.test").status == 200


def test_a_name_is_added_and_ordered(launch_dir, backends, folder, pebbles):
    pebble = pebbles(env=QUICK).start()
    place = folder(DOMAINS="a.test", UPSTREAM=backends().url)
    portico = launch_dir(place, **pebble.variables())
    before = wait_published(portico, "a.test", 1)
    place.write("DOMAINS", "a.test\nb.test")
    portico.wait_event("reloaded", names_added=1)
    wait_published(portico, "b.test", 1)
    assert portico.get("b.test", ca=pebble.root_path()).status == 200
    assert wait_published(portico, "a.test", 1) == before and pebble.num_orders() == 2


def test_a_name_is_removed_and_comes_back_with_its_certificate(launch_dir, backends, folder, pebbles):
    pebble = pebbles(env=QUICK).start()
    place = folder(DOMAINS="a.test,b.test", UPSTREAM=backends().url)
    portico = launch_dir(place, **pebble.variables())
    wait_published(portico, "a.test", 1)
    serial = wait_published(portico, "b.test", 1)[0]
    place.write("DOMAINS", "a.test")
    portico.wait_event("reloaded", names_removed=1)
    eventually(lambda: portico.shown("b.test") is None, "the name to go")
    assert [entry["name"] for entry in portico.status()["names"]] == ["a.test"]
    with portico.tls("a.test") as client:
        assert client.get("b.test").status == 421
    place.write("DOMAINS", "a.test,b.test")
    portico.wait_event("reloaded", names_added=1)
    shown = eventually_shown(portico, "b.test")
    assert int(serial, 16) == shown.serial_number and pebble.num_orders() == 2, "the stored certificate was not used"


def eventually_shown(portico, name):
    der = []
    eventually(lambda: der.append(portico.shown(name)) or der[-1], f"a certificate of {name}")
    return x509.load_der_x509_certificate(der[-1])


def test_an_order_of_a_removed_name_is_abandoned(launch_dir, backends, folder, pebbles):
    pebble = pebbles(http_port=free_port()).start()  # slow: it sleeps before it validates
    place = folder(DOMAINS="a.test,b.test", UPSTREAM=backends().url)
    portico = launch_dir(place, **pebble.variables())
    portico.wait_event("order_started", name="b.test")
    place.write("DOMAINS", "a.test")
    portico.wait_event("reloaded", names_removed=1)
    wait_published(portico, "a.test", 1)
    assert not portico.find_events("certificate_published", name="b.test", source="issued")
    assert not portico.find_events("order_failed")


def test_terms_that_are_accepted_later_let_orders_run_at_once(launch_dir, backends, folder, pebbles):
    pebble = pebbles(env=QUICK).start()
    place = folder(DOMAINS="a.test", UPSTREAM=backends().url, ACME_ACCEPT_TERMS="false")
    portico = launch_dir(place, **pebble.variables(ACME_ACCEPT_TERMS=None))
    portico.wait_event("order_failed", name="a.test")
    place.write("ACME_ACCEPT_TERMS", "true")
    portico.wait_event("reloaded", changed="PORTICO_ACME_ACCEPT_TERMS")
    wait_published(portico, "a.test", 1)


def test_another_address_is_told_to_the_ca_with_the_next_order(launch_dir, backends, folder, pebbles):
    pebble = pebbles(env=QUICK).start()
    place = folder(DOMAINS="a.test", UPSTREAM=backends().url, ACME_EMAIL="old@a.test")
    portico = launch_dir(place, **pebble.variables())
    wait_published(portico, "a.test", 1)
    place.write("ACME_EMAIL", "new@a.test")
    place.write("DOMAINS", "a.test,b.test")
    wait_published(portico, "b.test", 1)
    portico.wait_event("acme_account_updated")
    assert pebble.num_accounts() == 1


def test_the_access_log_and_the_log_level_change(launch_dir, backends, folder):
    place = folder(DOMAINS="a.test", UPSTREAM=backends().url, ACCESS_LOG="json", LOG_LEVEL="info")
    portico = launch_dir(place, LOG_LEVEL=None)
    portico.get("a.test")
    portico.wait_event("access")
    place.write("ACCESS_LOG", "off")
    place.write("LOG_LEVEL", "debug")
    portico.wait_until(
        lambda: {"PORTICO_ACCESS_LOG", "PORTICO_LOG_LEVEL"}
        == {name for e in portico.find_events("reloaded") for name in e["changed"].split(",")},
        "both changes",
    )
    mark = portico.mark()
    with portico.tls("a.test") as client:
        client.send("BAD\r\n\r\n")
        client.read_response()
    portico.wait_event("request_refused", since=mark)
    assert not portico.find_events("access", mark)


def test_a_limit_changes_on_a_connection_that_stays(launch_dir, backends, folder):
    place = folder(DOMAINS="a.test", UPSTREAM=backends().url)
    portico = launch_dir(place)
    post = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2000\r\n\r\n" + "x" * 2000
    with portico.tls("a.test") as client:
        client.send(post)
        assert client.read_response().status == 200
        place.write("MAX_REQUEST_BODY", "1k")
        portico.wait_event("reloaded")

        def refused():
            client.send(post)
            return client.read_response().status == 413

        eventually(refused, "the new limit")


def test_unknown_names_are_refused_or_served_as_the_variable_says(launch_dir, backends, folder):
    place = folder(DOMAINS="a.test", UPSTREAM=backends().url)
    portico = launch_dir(place)
    eventually(lambda: portico.shown("a.test"), "a certificate")
    assert portico.shown("unknown.test") is None
    place.write("TLS_UNKNOWN_SNI", "default")
    eventually(lambda: portico.shown("unknown.test") == portico.shown("a.test"), "the default certificate")
    place.remove("TLS_UNKNOWN_SNI")
    eventually(lambda: portico.shown("unknown.test") is None, "the refusal")


# --- what is refused ---


def test_a_mistake_refuses_the_whole_and_is_said(launch_dir, backends, folder):
    place = folder(DOMAINS="a.test", UPSTREAM=backends().url)
    portico = launch_dir(place)
    place.write("UPSTREAM_RETRIES", "many")
    place.write("DOMAINS", "a.test,b.test,-bad-.test")
    mark = hup(portico)
    portico.wait_event("reload_refused", since=mark, variable="PORTICO_UPSTREAM_RETRIES")
    refused = portico.wait_event("reload_refused", since=mark, variable="PORTICO_DOMAINS")
    assert refused["level"] == "error" and refused["reason"]
    assert not portico.find_events("reloaded")
    assert portico.get("a.test").status == 200 and portico.shown("b.test") is None
    place.remove("UPSTREAM_RETRIES")
    place.write("DOMAINS", "a.test,b.test")
    portico.wait_event("reloaded", names_added=1)


def test_what_only_a_restart_changes_is_refused_by_name(launch_dir, backends, folder):
    place = folder(DOMAINS="a.test", UPSTREAM=backends().url, WORKERS="2")
    portico = launch_dir(place, WORKERS=None)
    place.write("WORKERS", "3")
    place.write("DOMAINS", "a.test,b.test")
    refused = portico.wait_event("reload_refused", variable="PORTICO_WORKERS")
    assert "restart" in refused["reason"]
    assert portico.shown("b.test") is None, "half of it was applied"


def test_a_variable_in_both_places_is_refused(launch_dir, backends, folder):
    place = folder(DOMAINS="a.test")
    portico = launch_dir(place, upstream=backends())
    place.write("UPSTREAM", "http://127.0.0.1:1")
    assert "elsewhere" in portico.wait_event("reload_refused", variable="PORTICO_UPSTREAM")["reason"]
    assert portico.get("a.test").status == 200


def test_mistakes_are_said_once_until_somebody_asks(launch_dir, backends, folder):
    place = folder(DOMAINS="a.test", UPSTREAM=backends().url)
    portico = launch_dir(place)
    place.write("UPSTREAM_RETRIES", "many")
    portico.wait_event("reload_refused")
    place.write("MAX_CONN_AGE", "1h")  # another change, the same mistake
    hup(portico)
    assert portico.wait_event("reload_refused", count=2)


def test_hup_without_a_change_answers_and_changes_nothing(launch, backends):
    portico = launch(backends())
    reloaded = portico.find_events("reloaded", hup(portico))[0]
    assert (reloaded["changed"], reloaded["names_added"], reloaded["names_removed"]) == ("", 0, 0)
    assert portico.get("a.test").status == 200


def test_x3_hups_in_a_storm_are_reloads_one_after_another(launch_dir, backends, folder):
    place = folder(DOMAINS="a.test", UPSTREAM=backends().url)
    portico = launch_dir(place)
    for i in range(50):
        place.rename_over("DOMAINS", f"a.test,n{i}.test")
        portico.signal(signal.SIGHUP)
    eventually(lambda: portico.shown("n49.test"), "the last of them", timeout=20)
    assert portico.get("a.test").status == 200
    assert [entry["name"] for entry in portico.status()["names"]] == ["a.test", "n49.test"]


def test_x3_hup_while_draining_is_ignored_and_said(launch, backends):
    portico = launch(backends(), DRAIN_QUIET="1s")
    portico.signal(signal.SIGTERM)
    portico.wait_event("draining")
    portico.signal(signal.SIGHUP)
    portico.wait_event("reload_ignored")
    assert portico.wait_exit() == 0
    assert not portico.find_events("reloaded")


# --- where it listens ---


def test_a_port_moves_and_the_connections_of_the_old_one_live(launch_dir, backends, folder):
    place = folder(DOMAINS="a.test", UPSTREAM=backends().url, HTTPS_LISTEN="127.0.0.1:0")
    portico = launch_dir(place, HTTPS_LISTEN=None)
    old = portico.https
    with connect_tls(old, "a.test") as client:
        mark = portico.mark()
        place.write("HTTPS_LISTEN", f"127.0.0.1:{free_port()}")
        new = listening(portico, "https", mark)
        assert new != old
        with connect_tls(new, "a.test") as other:
            assert other.get("a.test").status == 200
        eventually(lambda: refuses(old), "the old port to close")
        assert client.get("a.test").status == 200


def refuses(address):
    try:
        connect(address).close()
    except ConnectionRefusedError:
        return True
    return False


def test_every_listener_moves(launch_dir, backends, folder):
    place = folder(DOMAINS="a.test", UPSTREAM=backends().url, HTTP_LISTEN="127.0.0.1:0", ADMIN_LISTEN="127.0.0.1:0")
    portico = launch_dir(place, HTTP_LISTEN=None, ADMIN_LISTEN=None)
    before = {name: portico.address(name) for name in ("http", "admin")}
    mark = portico.mark()
    place.write("HTTP_LISTEN", f"127.0.0.1:{free_port()}")
    place.write("ADMIN_LISTEN", f"127.0.0.1:{free_port()}")
    for name, paths in (("http", "/"), ("admin", "/livez")):
        with connect(listening(portico, name, mark)) as client:
            assert client.get("a.test", paths).status in (200, 308)
        eventually(lambda name=name: refuses(before[name]), f"the old {name} to close")


def test_a_listener_widens_on_its_own_port(launch_dir, backends, folder):
    port = free_port()
    place = folder(DOMAINS="a.test", UPSTREAM=backends().url, HTTPS_LISTEN=f"127.0.0.1:{port}")
    portico = launch_dir(place, HTTPS_LISTEN=None)
    mark = portico.mark()
    place.write("HTTPS_LISTEN", f"0.0.0.0:{port}")
    assert listening(portico, "https", mark) == ("0.0.0.0", port)
    for _ in range(20):
        assert portico.get("a.test").status == 200


def test_a_listener_is_switched_off_and_on(launch_dir, backends, folder):
    place = folder(DOMAINS="a.test", UPSTREAM=backends().url, HTTP_LISTEN="127.0.0.1:0")
    portico = launch_dir(place, HTTP_LISTEN=None)
    old = portico.http
    place.write("HTTP_LISTEN", "off")
    eventually(lambda: refuses(old), "the listener to close")
    mark = portico.mark()
    place.write("HTTP_LISTEN", f"127.0.0.1:{old[1]}")
    with connect(listening(portico, "http", mark)) as client:
        assert client.get("a.test").status == 308


def test_an_address_that_is_taken_refuses_the_whole(launch_dir, backends, folder):
    place = folder(DOMAINS="a.test", UPSTREAM=backends().url, HTTPS_LISTEN="127.0.0.1:0")
    portico = launch_dir(place, HTTPS_LISTEN=None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place.write("HTTPS_LISTEN", f"127.0.0.1:{taken.getsockname()[1]}")
        place.write("DOMAINS", "a.test,b.test")
        refused = portico.wait_event("reload_refused", variable="PORTICO_HTTPS_LISTEN")
    assert "another process" in refused["reason"]
    assert portico.get("a.test").status == 200 and portico.shown("b.test") is None


def test_https_opens_with_the_first_name(launch_dir, backends, folder):
    port = free_port()
    place = folder(UPSTREAM=backends().url, HTTPS_LISTEN=f"127.0.0.1:{port}")
    portico = launch_dir(place, HTTPS_LISTEN=None)
    with portico.plain() as client:
        assert client.get("a.test").status == 200
    mark = portico.mark()
    place.write("DOMAINS", "a.test")
    assert listening(portico, "https", mark) == ("127.0.0.1", port)
    eventually(lambda: portico.shown("a.test"), "the certificate")
    with portico.plain() as client:
        assert client.get("a.test").status == 308


# --- files of certificates ---


def serial_of(path):
    return parse(path.read_bytes()).serial_number


def test_a_certificate_file_is_swapped_by_rename(launch, backends, authority, tmp_path):
    paths = authority.issue_files("a.test", stem="swap")
    cert, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    cert.write_bytes(paths[0].read_bytes()), key.write_bytes(paths[1].read_bytes())
    portico = launch(backends(), DOMAINS="a.test", TLS_CERT_FILE=cert, TLS_KEY_FILE=key)
    assert eventually_shown(portico, "a.test").serial_number == serial_of(cert)
    with portico.tls("a.test") as kept:
        paths = authority.issue_files("a.test", stem="swap")
        paths[1].rename(key)
        paths[0].rename(cert)
        portico.wait_event("reloaded")
        eventually(lambda: eventually_shown(portico, "a.test").serial_number == serial_of(cert), "the new certificate")
        assert kept.get("a.test").status == 200


def test_names_come_and_go_with_their_certificate(launch, backends, authority, tmp_path):
    volume = Volume(tmp_path / "secret", pem_pair(authority, "a.test", "b.test"))
    files = {"TLS_CERT_FILE": volume.path / "tls.crt", "TLS_KEY_FILE": volume.path / "tls.key"}
    portico = launch(backends(), DOMAINS=None, **files)
    assert portico.get("b.test").status == 200 and portico.shown("c.test") is None
    volume.put(pem_pair(authority, "a.test", "c.test"))
    eventually(lambda: portico.shown("c.test"), "the new name")
    assert portico.shown("b.test") is None and portico.get("c.test").status == 200


def pem_pair(authority, *names):
    paths = authority.issue_files(*names, stem="volume")
    return {"tls.crt": paths[0].read_text(), "tls.key": paths[1].read_text()}


def test_a_secret_volume_is_swapped_by_its_data_link(launch, backends, authority, tmp_path):
    volume = Volume(tmp_path / "secret", pem_pair(authority, "a.test"))
    files = {"TLS_CERT_FILE": volume.path / "tls.crt", "TLS_KEY_FILE": volume.path / "tls.key"}
    portico = launch(backends(), DOMAINS="a.test", **files)
    for count in (1, 2):
        volume.put(pem_pair(authority, "a.test"))
        wanted = serial_of(volume.path / "tls.crt")
        portico.wait_event("reloaded", count=count)
        eventually(lambda w=wanted: eventually_shown(portico, "a.test").serial_number == w, "the new certificate")
    assert not portico.find_events("reload_refused"), "a swap is whole"


def test_a_pair_that_does_not_match_is_refused_once_and_tried_again(launch, backends, authority, tmp_path):
    first, second = pem_pair(authority, "a.test"), pem_pair(authority, "a.test")
    cert, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    cert.write_text(first["tls.crt"]), key.write_text(first["tls.key"])
    portico = launch(backends(), DOMAINS="a.test", TLS_CERT_FILE=cert, TLS_KEY_FILE=key)
    cert.write_text(second["tls.crt"])
    refused = portico.wait_event("reload_refused")
    assert "TLS_CERT" in refused["variable"] and "belong together" in refused["reason"]
    assert portico.get("a.test").status == 200
    key.write_text(second["tls.key"])
    portico.wait_event("reloaded")
    assert len(portico.find_events("reload_refused")) == 1
    eventually(lambda: eventually_shown(portico, "a.test").serial_number == serial_of(cert), "the new certificate")


# --- ENV_DIR ---


def test_a_config_map_volume(launch, backends, tmp_path):
    first, second = named(backends, b"first"), named(backends, b"second")
    volume = Volume(tmp_path / "env", {"PORTICO_DOMAINS": "a.test\n", "PORTICO_UPSTREAM": f"{first.url}\n", "README": "x"})
    portico = launch(DOMAINS=None, ENV_DIR=volume.path)
    assert portico.get("a.test").body == b"first"
    volume.put({"PORTICO_DOMAINS": "a.test,b.test", "PORTICO_UPSTREAM": second.url, "PORTICO_HSTS": "1y"})
    reloaded = portico.wait_event("reloaded")
    assert reloaded["changed"] == "PORTICO_DOMAINS,PORTICO_UPSTREAM,PORTICO_HSTS"
    eventually(lambda: portico.shown("b.test"), "the new name")
    response = portico.get("b.test")
    assert response.body == b"second" and response.get("Strict-Transport-Security")
    volume.put({"PORTICO_DOMAINS": "a.test", "PORTICO_UPSTREAM": second.url})
    portico.wait_event("reloaded", changed="PORTICO_DOMAINS,PORTICO_HSTS")
    assert len(portico.find_events("reloaded")) == 2 and not portico.find_events("reload_refused")


def test_files_that_stay_the_same_are_no_reload(launch_dir, backends, folder):
    place = folder(DOMAINS="a.test", UPSTREAM=backends().url)
    portico = launch_dir(place)
    place.write("DOMAINS", "a.test")
    place.rename_over("DOMAINS", "a.test\n")
    (place.path / "notes").write_text("not ours")
    place.write("HSTS", "1y")
    portico.wait_event("reloaded")
    assert [e["changed"] for e in portico.find_events("reloaded")] == ["PORTICO_HSTS"]


# --- under load ---


def start_wrk(portico, *fields):
    """Until it is interrupted, which makes it tell what it has seen."""
    host, port = portico.https
    options = [option for field in fields for option in ("-H", field)]
    argv = ["wrk", "-t1", "-c16", "-d120s", "-H", "Host: a.test", *options, f"https://{host}:{port}/hello"]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def judge_wrk(load):
    load.send_signal(signal.SIGINT)
    output = load.communicate(timeout=60)[0]
    assert "Socket errors" not in output and "Non-2xx" not in output, output
    assert int(re.search(r"(\d+) requests in", output)[1]) > 100, output


def run_h2load(portico):
    """HTTP/2, one run after another; it counts every failure of its own kind."""
    host, port = portico.https
    argv = ["h2load", "-c8", "-m4", "-t1", "-n2000", f"--connect-to={host}:{port}", "https://a.test/hello"]

    def run(over):
        while not over.is_set():
            output = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False).stdout
            assert "2000 succeeded, 0 failed, 0 errored, 0 timeout" in output, output

    return run


@pytest.mark.release
def test_routes_change_under_load_without_a_failed_request(launch_dir, backends, folder, nginx, need):
    need("wrk", "h2load")
    place = folder(DOMAINS="a.test", UPSTREAM=nginx.url)
    other = nginx.url.replace("127.0.0.1", "localhost")
    portico = launch_dir(place, LOG_LEVEL="info", ACCESS_LOG="off", TLS_UNKNOWN_SNI="default")
    eventually(lambda: portico.shown("a.test"), "a certificate")
    loads = [start_wrk(portico), start_wrk(portico, "Connection: close")]
    h2load = Background(run_h2load(portico))
    for i in range(20):
        place.write("UPSTREAM", other if i % 2 == 0 else nginx.url)
        place.write("DOMAINS", f"a.test,n{i}.test")
        portico.wait_event("certificate_published", name=f"n{i}.test")
    for load in loads:
        judge_wrk(load)
    h2load.end()
    assert not portico.find_events("reload_refused")


@pytest.mark.release
def test_a_port_moves_under_load_without_a_failed_request(launch_dir, folder, nginx):
    """Connections that are there serve on; whoever comes goes where it listens at that moment."""
    place = folder(DOMAINS="a.test", UPSTREAM=nginx.url, HTTPS_LISTEN=f"127.0.0.1:{free_port()}")
    portico = launch_dir(place, HTTPS_LISTEN=None)
    eventually(lambda: portico.shown("a.test"), "a certificate")
    counts = []

    def visit(client):
        def ask(over):
            with client:
                while not over.is_set():
                    assert client.get("a.test", "/hello").status == 200
                    counts.append(1)

        return ask

    def place_now():
        host, port = portico.find_events("listening", listener="https")[-1]["address"].rsplit(":", 1)
        return host, int(port)

    def come(over):
        while not over.is_set():
            last = place_now()
            try:
                with connect_tls(last, "a.test") as client:
                    assert client.get("a.test", "/hello").status == 200
            except (ConnectionError, ssl.SSLError):  # it has moved, and says so; a socket that closes resets who is not through yet
                portico.wait_until(lambda last=last: place_now() != last, "the new place", 5)

    there = [portico.tls("a.test") for _ in range(2)]
    visitors = [Background(come), *(Background(visit(client)) for client in there)]
    for _ in range(10):
        mark = portico.mark()
        place.write("HTTPS_LISTEN", f"127.0.0.1:{free_port()}")
        listening(portico, "https", mark)
    for visitor in visitors:
        visitor.end()
    assert len(counts) > 100 and not portico.find_events("reload_refused")
