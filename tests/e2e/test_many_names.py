"""Fifty names at once: one account, one order and one certificate each, and all of them served."""

QUICK = {"PEBBLE_VA_NOSLEEP": "1"}
NAMES = [f"n{i}.test" for i in range(50)]


def test_fifty_names_at_once(launch, nginx, pebbles):
    pebble = pebbles(env=QUICK).start()
    portico = launch(nginx, DOMAINS=",".join(NAMES), **pebble.variables())
    portico.wait_event("certificate_published", timeout=150, count=len(NAMES), source="issued")
    root = pebble.root_path()
    for name in NAMES:
        assert portico.get(name, "/hello", ca=root).status == 200
    assert pebble.num_issued() == len(NAMES)
    assert len(list((portico.storage / "account").iterdir())) == 1
