"""The status page in a real browser: it shows what /status says, asks nobody else, and its policy holds."""

import os
import pathlib

import pytest

from support.browser import Browser

TOKEN = "page-0123456789abcdef"


@pytest.fixture(scope="module")
def browser(need, tmp_path_factory):
    need("chromium")
    made = Browser(tmp_path_factory.mktemp("browser"))
    yield made
    made.close()


@pytest.fixture
def page(browser):
    """Opens the page of a process, and forgets what the browser did before."""

    def open_at(portico, path="/"):
        browser.open("about:blank")
        browser.wait("location.href === 'about:blank'")
        browser.events.clear()
        browser.look(1280, 900)
        browser.open("http://{}:{}{}".format(*portico.admin, path))
        return browser

    return open_at


READY = "!document.getElementById('main')?.hidden && document.querySelectorAll('#names > li').length > 0"


def text(browser, selector):
    return browser.eval(f"document.querySelector({selector!r})?.innerText")


def test_it_shows_what_status_says(page, launch, backends):
    portico = launch(backends())
    browser = page(portico)
    browser.wait(READY)
    status = portico.status()
    shown = browser.eval("[...document.querySelectorAll('#names > li')].map((li) => li.dataset.name)")
    assert shown == [entry["name"] for entry in status["names"]]
    for entry in status["names"]:
        row = f"#names > li[data-name='{entry['name']}']"
        assert entry["certificate"]["issuer"] in text(browser, row)
        times = browser.eval(f"[...document.querySelectorAll({row + ' time'!r})].map((t) => t.dateTime)")
        assert times == [entry["certificate"]["not_before"], entry["certificate"]["not_after"]]
        assert "your own certificate" in text(browser, row)
    assert status["version"] in text(browser, "#facts") and "2 workers" in text(browser, "#facts")
    assert str(status["pid"]) in text(browser, "#foot")
    assert browser.complaints() == []


def test_it_plots_what_happens(page, launch, backends):
    portico = launch(backends())
    browser = page(portico)
    browser.wait(READY)
    client = portico.tls("a.test")
    for _ in range(20):
        client.get("a.test")
    browser.wait("parseFloat(document.getElementById('value-connections').innerText) === 1")
    browser.wait("plots[0].series[0].values.some((value) => value > 0)")
    browser.wait("plots[1].series[0].values.some((value) => value > 0)")
    total = browser.eval("plots[0].series[0].values.reduce((sum, value) => sum + value * 2, 0)")
    assert 10 < total < 40, "20 requests, in samples two seconds apart"
    client.close()
    assert browser.complaints() == []


def test_trouble_comes_first_and_with_its_cure(page, launch, backends, pebbles):
    pebble = pebbles(env={"PEBBLE_VA_NOSLEEP": "1"}).start()
    variables = {**pebble.variables(), "DOMAINS": "a.test,bad.test", "HTTP_LISTEN": "127.0.0.1:0"}  # elsewhere
    portico = launch(backends(), **variables, **launch.own_certificate("a.test"))
    portico.wait_event("order_failed")
    browser = page(portico)
    browser.wait(READY)
    assert text(browser, "#names > li:first-child .name").startswith("bad.test")
    sentence = portico.status_of("bad.test")["problem"]["sentence"]
    assert sentence[1:] in text(browser, "#names > li:first-child .problem")
    assert "1 without a valid certificate" in text(browser, "#sum")
    assert browser.eval("document.title") == "! Portico"


def test_the_window_of_the_ca_is_drawn(page, launch, backends, newer_pebbles):
    """ACME-92: the window on the timeline, the instant within it, and that it is renewed for that reason."""
    pebble = newer_pebbles(env={"PEBBLE_VA_NOSLEEP": "1"}).start()
    portico = launch(backends(), DOMAINS="a.test", **pebble.variables())
    portico.wait_event("renewal_window")
    entry = portico.status_of("a.test")
    window = entry["certificate"]["renewal_window"]
    assert window["start"] <= window["chosen"] < window["end"]
    assert (entry["next_reason"], entry["challenge"], entry["certificate"]["key"]) == ("window", "http-01", "p256")
    assert entry["next_attempt"] == window["chosen"]
    browser = page(portico)
    browser.wait(READY)
    track, band, next_attempt = browser.eval(
        "['.track', '.window', '.next'].map((of) => document.querySelector('#names .bar ' + of).getBoundingClientRect())"
        ".map((box) => [box.left, box.right])"
    )
    assert track[0] < band[0] < band[1] < track[1]
    assert band[0] - 1 <= (next_attempt[0] + next_attempt[1]) / 2 <= band[1] + 1
    assert "in the CA's window" in text(browser, "#names .dates") and "p256, http-01" in text(browser, "#names .issuer")
    assert window["start"] in browser.eval("document.querySelector('#names svg').getAttribute('aria-label')")
    assert not browser.eval("document.getElementById('legend').hidden")
    assert browser.complaints() == []


def test_what_holds_an_order_up_is_said(page, launch, backends):
    portico = launch(backends())
    browser = page(portico)
    browser.wait(READY)
    browser.eval(GALLERY)
    row = "#names > li[data-name='{}']".format
    assert "Held: no certificate is ordered until somebody runs portico renew held.test." in text(browser, row("held.test"))
    assert "held: not renewed" in text(browser, row("held.test"))
    assert "tried again every hour" in text(browser, row("quarantined.test"))
    assert "the CA's limit of certificates for the registered domain" in text(browser, row("paced.test"))
    assert "Seen from here: 203.0.113.7 port 80 is refused" in text(browser, row("hint.test"))
    assert "a check from here comes first" in text(browser, row("hint.test"))
    assert "https://ca.test/incident" in text(browser, row("early.test"))
    assert "outside the CA's window" in browser.eval(f"document.querySelector({row('early.test') + ' .issuer'!r}).title")
    assert "the CA asked to wait" in text(browser, row("later.test"))
    assert browser.eval(f"document.querySelectorAll({row('two.test')!r}).length") == 2
    assert browser.complaints() == []


def test_names_are_text_whatever_they_are(page, launch, backends):
    """Nothing that a CA says becomes markup: an issuer's name is the one text here that strangers choose."""
    portico = launch(backends())
    browser = page(portico)
    browser.wait(READY)
    browser.eval(
        "status.names[0].certificate.issuer = '<img src=x onerror=alert(1)>'; status.names[0].problem = "
        "{sentence: '<script>alert(1)</script>', class: '<b>x</b>', at: status.now}; showNames()"
    )
    assert browser.eval("document.querySelectorAll('#names img, #names script, #names b b').length") == 0
    assert "<img src=x onerror=alert(1)>" in text(browser, "#names")
    assert browser.complaints() == []


def test_it_asks_nobody_else(page, launch, backends):
    portico = launch(backends())
    browser = page(portico)
    browser.wait(READY)
    root = "http://{}:{}".format(*portico.admin)
    paths = {url.removeprefix(root) for url in browser.requested() if not url.startswith("data:")}
    assert paths == {"/", "/status", "/status/traffic"}


def test_its_policy_lets_nothing_else_run(page, launch, backends):
    portico = launch(backends())
    browser = page(portico)
    browser.wait(READY)
    policy = portico.ask_admin("/").get("Content-Security-Policy")
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert policy != portico.ask_admin("/").get("Content-Security-Policy"), "a nonce is used once"
    body = portico.ask_admin("/").body
    assert b"__NONCE__" not in body and b"http" not in body.replace(b"http://www.w3.org/2000/svg", b"").replace(b"plain HTTP", b"")
    browser.eval(
        "window.ran = []; for (const make of [() => { const s = document.createElement('script'); s.textContent = "
        "'ran.push(1)'; return s; }, () => { const d = document.createElement('div'); d.innerHTML = "
        "'<img src=\"/livez\" onerror=\"ran.push(2)\">'; return d; }]) document.body.append(make())"
    )
    browser.wait("new Promise((done) => setTimeout(() => done(true), 300))")
    assert browser.eval("ran") == []
    assert any("Content Security Policy" in said or "Content-Security-Policy" in said for said in browser.complaints())


def test_beyond_loopback_it_asks_for_the_token(page, launch, backends):
    from test_admin import mine

    portico = launch(backends(), ADMIN_LISTEN="0.0.0.0:0", ADMIN_TOKEN=TOKEN)
    browser = page(portico)
    browser.events.clear()
    browser.open("http://{}:{}/".format(mine(), portico.admin[1]))
    browser.wait("document.getElementById('door')?.hidden === false")
    assert not text(browser, "#names")
    fill = "document.getElementById('token').value = {!r}; document.getElementById('door').requestSubmit()"
    browser.eval(fill.format("wrong"))
    browser.wait("!document.getElementById('refused').hidden")
    browser.eval(fill.format(TOKEN))
    browser.wait(READY)
    assert browser.eval("document.getElementById('token').value") == ""
    assert browser.eval("JSON.stringify([localStorage, sessionStorage, document.cookie])") == '[{},{},""]'


def test_it_says_when_nobody_answers(page, launch, backends):
    portico = launch(backends())
    browser = page(portico)
    browser.wait(READY)
    portico.terminate()
    browser.wait("document.getElementById('live').innerText.startsWith('no answer')")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_is_legible_by_day_and_night_and_on_a_phone(page, launch, backends, scheme, width, tmp_path):
    """Text has the contrast of WCAG AA, and nothing is wider than the screen. SCREENSHOTS keeps the pictures."""
    portico = launch(backends())
    browser = page(portico)
    browser.look(width, 900, scheme)
    browser.wait(READY)
    directory = pathlib.Path(os.environ.get("SCREENSHOTS", tmp_path))
    for what, change in (("status", "0"), ("gallery", GALLERY)):
        browser.eval(change)
        assert browser.eval("document.documentElement.scrollWidth") <= width
        low = browser.eval(CONTRAST)
        assert low == [], low
        browser.screenshot(directory / f"{what}-{scheme}-{width}.png")


# A name in each of its states, as /status tells of them.
GALLERY = """(() => {
  statusAt = Infinity; /* what is asked for now would replace it */
  const day = 86400e3, now = Date.parse(status.now), at = (days) => new Date(now + days * day).toISOString();
  const issued = (from, to, more) => ({ source: 'issued', serial: '1f', issuer: 'YE1', key: 'p256', not_before: at(from),
    not_after: at(to), directory: 'https://acme-v02.api.letsencrypt.org/directory', ...more });
  const window = (from, to, chosen, more) => ({ renewal_at: at(chosen), renewal_window: { start: at(from), end: at(to), chosen: at(chosen), ...more } });
  const name = (name, certificate, more) => ({ name, managed: true, certificate, failures: 0, challenge: 'http-01', renewed_in_window: 'none', ...more });
  const problem = (kind, type, sentence, more) => ({ at: at(-0.1), class: kind, type, sentence, ...more });
  const placeholder = { source: 'placeholder', serial: '0', issuer: 'x', not_before: at(0), not_after: at(1) };
  status.names = [
    name('well.test', issued(-20, 70, window(39, 41, 40)), { next_attempt: at(40), next_reason: 'window' }),
    name('age.test', issued(-20, 70, { renewal_at: at(40) }), { next_attempt: at(40), next_reason: 'age' }),
    name('short.test', issued(-2, 4.6, window(1.3, 1.43, 1.4)), { next_attempt: at(1.4), next_reason: 'window' }),
    name('two.test', issued(-20, 70, window(39, 41, 40)), { key_type: 'p256', next_attempt: at(40), next_reason: 'window' }),
    name('two.test', issued(-20, 70, { ...window(38, 40, 39), key: 'rsa' }), { key_type: 'rsa2048', next_attempt: at(39), next_reason: 'window' }),
    name('early.test', issued(-20, 70, window(0.1, 0.2, 0.15, { explanation: 'https://ca.test/incident' })),
      { next_attempt: at(0.15), next_reason: 'window', renewed_in_window: 'missed' }),
    name('later.test', issued(-70, 20, window(-11, -9, -10)), { next_attempt: at(0.2), next_reason: 'retry-after', failures: 2,
      problem: problem('later', 'urn:ietf:params:acme:error:rateLimited', 'the CA asks for a pause: wait until it has passed, nothing else helps') }),
    name('held.test', issued(-70, 20, { renewal_at: at(-10) }), { held: true, next_reason: 'held' }),
    name('quarantined.test', issued(-80, 10, window(-21, -19, -20)), { quarantined: true, next_attempt: at(1.2), next_reason: 'quarantine', failures: 1,
      problem: problem('local', '', 'by this machine\\'s clock the certificate is not valid yet: set the clock') }),
    name('paced.test', placeholder, { next_attempt: at(0.1), next_reason: 'limit', paced_by: 'certificates for the registered domain', challenge: '' }),
    name('hint.test', placeholder, { next_attempt: at(0.005), next_reason: 'preflight', challenge: '',
      problem: { hint: '203.0.113.7 port 80 is refused: open it in the firewall' } }),
    name('ordering.test', placeholder, { step: 'poll-authz', challenge: 'tls-alpn-01' }),
    name('own.test', { ...issued(-20, 345), source: 'own', directory: undefined }, { managed: false, challenge: undefined, renewed_in_window: undefined }),
  ];
  showAll = true;
  showNames();
})()"""

# Each text's colour against what lies under it; those below 4.5 to 1.
CONTRAST = """(() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const under = (el) => { for (; el; el = el.parentElement) { const c = parse(getComputedStyle(el).backgroundColor);
    if (c.length === 3 || c[3] > 0) return c; } return [255, 255, 255]; };
  const low = [];
  for (const el of document.querySelectorAll('body *')) {
    const own = [...el.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || el.tagName === 'SCRIPT' || !el.getClientRects().length) continue;
    const [a, b] = [light(parse(getComputedStyle(el).color)), light(under(el))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) low.push(el.tagName + '.' + el.className + ' ' + el.textContent.trim().slice(0, 20) + ' ' + ratio.toFixed(2));
  }
  return low;
})()"""
