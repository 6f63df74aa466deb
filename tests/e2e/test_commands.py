"""Commands and exit codes: check tells all mistakes at once, healthcheck asks, version and help say what there is."""

import pytest

from support.ports import free_port
from support.portico import run_command

pytestmark = pytest.mark.smoke


@pytest.fixture
def run(binary):
    return lambda *args, **variables: run_command(binary, *args, **variables)


def test_check_shows_effective_values_with_their_source(run, tmp_path):
    (tmp_path / "domains").write_text("from-file.example\n")
    code, out, err = run("check", DOMAINS_FILE=tmp_path / "domains", UPSTREAM="http://app:9000", STORAGE=tmp_path)
    assert (code, err) == (0, "")
    assert "http://app:9000" in out and "environment" in out
    assert "from-file.example" in out and str(tmp_path / "domains") in out
    assert "PORTICO_DRAIN_TIMEOUT" in out and "8s" in out


def test_check_masks_secrets(run):
    code, out, err = run(
        "check", DOMAINS="a.example", ACME_EAB_KID="kid", ACME_EAB_HMAC_KEY="c2VjcmV0LXNlY3JldC1zZWNyZXQ"
    )
    assert code == 0, err
    assert "c2VjcmV0" not in out + err


def test_check_masks_passwords_and_shows_what_else_is_in_effect(run, tmp_path):
    (tmp_path / "page.html").write_text("<h1>Back soon</h1>")
    hashed = "$2b$10$" + "a" * 53
    code, out, err = run(
        "check", DOMAINS="a.example", BASIC_AUTH=f"ann:{hashed}", ERROR_PAGE_FILE=tmp_path / "page.html", ALLOW_IPS="private"
    )
    assert (code, err) == (0, "")
    shown = dict(line.split(maxsplit=1) for line in out.splitlines() if line.startswith("PORTICO_"))
    assert shown["PORTICO_BASIC_AUTH"] == "(secret, 64 bytes)  (environment)"
    assert shown["PORTICO_ERROR_PAGE"] == f"(HTML, 18 bytes)  (file {tmp_path / 'page.html'})"
    assert shown["PORTICO_ALLOW_IPS"] == "private  (environment)"
    assert shown["PORTICO_HTTP2"] == "true  (default)"
    assert shown["PORTICO_TRUSTED_PROXIES"] == "-  (default)"
    assert hashed not in out


def test_all_mistakes_are_reported_at_once(run):
    code, out, err = run(
        "check",
        DOMAINS="a.example, -bad-",
        UPSTREAM="ftp://x",
        DRAIN_TIMEOUT="soon",
        MAX_HEADER="1t",
        HTTP_MODE="maybe",
        DOMIANS="a.example",
    )
    assert code == 78
    for name in ("DOMAINS", "UPSTREAM", "DRAIN_TIMEOUT", "MAX_HEADER", "HTTP_MODE", "DOMIANS"):
        assert f"PORTICO_{name}" in err
    assert "PORTICO_DOMAINS" in err.split("PORTICO_DOMIANS")[1], "the nearest name is offered"


@pytest.mark.parametrize("args", [(), ("run",)])
def test_run_refuses_bad_configuration_in_the_same_way(run, args):
    code, _, err = run(*args, DRAIN_TIMEOUT="soon")
    assert code == 78 and "PORTICO_DRAIN_TIMEOUT" in err and "soon" in err


def test_a_value_and_its_file_together_are_a_mistake(run, tmp_path):
    (tmp_path / "x").write_text("8s")
    code, _, err = run("check", DRAIN_TIMEOUT="8s", DRAIN_TIMEOUT_FILE=tmp_path / "x")
    assert code == 78 and "PORTICO_DRAIN_TIMEOUT_FILE" in err


def test_service_links_of_kubernetes_are_ignored(run):
    code, _, err = run(
        "check",
        SERVICE_HOST="10.0.0.1",
        PORT="tcp://10.0.0.1:443",
        PORT_443_TCP_ADDR="10.0.0.1",
        HTTPS_SERVICE_PORT_WEB="443",
    )
    assert (code, err) == (0, "")


def test_a_certificate_that_is_none(launch, tmp_path, run):
    (tmp_path / "cert.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    (tmp_path / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    code, out, err = run(
        TLS_CERT_FILE=tmp_path / "cert.pem",
        TLS_KEY_FILE=tmp_path / "key.pem",
        STORAGE=tmp_path / "s",
        HTTP_LISTEN="127.0.0.1:0",
        HTTPS_LISTEN="127.0.0.1:0",
        ADMIN_LISTEN="off",
    )
    assert code == 78 and "PORTICO_TLS_" in out + err


def test_the_key_of_another_certificate(launch, run, tmp_path):
    one, other = launch.own_certificate("a.test"), None
    chain, key = launch.authority.issue_files("b.test", stem="other")
    code, out, err = run(
        TLS_CERT_FILE=one["TLS_CERT_FILE"],
        TLS_KEY_FILE=key,
        STORAGE=tmp_path / "s",
        HTTP_LISTEN="127.0.0.1:0",
        HTTPS_LISTEN="127.0.0.1:0",
        ADMIN_LISTEN="off",
    )
    assert code == 78 and "PORTICO_TLS_KEY" in out + err and other is None and chain.exists()


def test_version_names_every_library(run):
    code, out, _ = run("version")
    assert code == 0
    for word in ("portico", "BoringSSL", "libuv", "llhttp", "yajl", "nghttp2"):
        assert word in out
    assert run("--version")[:2] == (0, out)


@pytest.mark.parametrize("args", [("help",), ("--help",), ("-h",)])
def test_help_has_every_variable(run, args):
    code, out, _ = run(*args)
    assert code == 0
    for name in ("DOMAINS", "UPSTREAM", "ACME_DIRECTORY", "TLS_POLICY", "DRAIN_TIMEOUT", "WORKERS"):
        assert f"PORTICO_{name}" in out
    for command in ("run", "check", "healthcheck", "version"):
        assert command in out


@pytest.mark.parametrize("args", [("frobnicate",), ("chekc",), ("check", "x"), ("healthcheck", "--now"), ("version", "x")])
def test_usage_errors_are_2(run, args):
    code, out, err = run(*args)
    assert code == 2 and out == "" and err.startswith("portico")


def test_the_nearest_command_is_offered(run):
    assert "portico check" in run("chekc")[2]


def test_healthcheck(launch, run, backends):
    admin = f"127.0.0.1:{free_port()}"
    assert run("healthcheck", ADMIN_LISTEN=admin)[0] == 1
    portico = launch(backends(), ADMIN_LISTEN=admin)
    assert run("healthcheck", ADMIN_LISTEN=admin)[0] == 0
    assert run("healthcheck", "--ready", ADMIN_LISTEN=admin)[0] == 0
    # whatever else is set, even wrongly: a health check must not fail for another variable
    assert run("healthcheck", ADMIN_LISTEN=admin, DRAIN_TIMEOUT="soon")[0] == 0
    assert portico.terminate() == 0
    assert run("healthcheck", ADMIN_LISTEN=admin)[0] == 1


def test_healthcheck_ready_while_draining(launch, run, backends):
    import signal

    admin = f"127.0.0.1:{free_port()}"
    portico = launch(backends(), ADMIN_LISTEN=admin, DRAIN_MIN="1s", DRAIN_TIMEOUT="4s")
    portico.signal(signal.SIGTERM)
    portico.wait_event("draining")
    assert run("healthcheck", "--ready", ADMIN_LISTEN=admin)[0] == 1
    assert run("healthcheck", ADMIN_LISTEN=admin)[0] == 0


def test_healthcheck_over_a_unix_socket(launch, run, backends, tmp_path):
    admin = f"unix:{tmp_path}/admin.sock"
    launch(backends(), ADMIN_LISTEN=admin)
    assert run("healthcheck", ADMIN_LISTEN=admin)[0] == 0


def test_healthcheck_gives_up_after_two_seconds(run):
    import socket
    import time

    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(1)
        began = time.monotonic()
        assert run("healthcheck", ADMIN_LISTEN=f"127.0.0.1:{deaf.getsockname()[1]}")[0] == 1
        assert 1 < time.monotonic() - began < 5
