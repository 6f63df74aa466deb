"""What deploy/ gives to Prometheus and Grafana: rules that hold their promises, and no name of a metric that is not there."""

import json
import pathlib
import re
import subprocess

import pytest

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yml"
BOARD = DEPLOY / "grafana" / "portico.json"
METRIC = re.compile(r"\b(?:portico|process)_[a-z_]+")


def promtool(*args):
    return subprocess.run(["promtool", *map(str, args)], capture_output=True, text=True, check=False)


def test_rules_are_well_formed(need):
    need("promtool")
    done = promtool("check", "rules", RULES)
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_fire_when_they_should_and_only_then(need):
    need("promtool")
    done = promtool("test", "rules", RULES.with_name("alerts.test.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_is_tried():
    tried = RULES.with_name("alerts.test.yml").read_text()
    for alert in re.findall(r"- alert: (\w+)", RULES.read_text()):
        assert alert in tried, alert


def expressions(node):
    """Every query of the dashboard, wherever it stands."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("expr", "definition") and isinstance(value, str):
                yield value
            else:
                yield from expressions(value)
    elif isinstance(node, list):
        for value in node:
            yield from expressions(value)


@pytest.fixture(scope="module")
def told(module_launch, module_backends):
    """The names of all samples that a process may tell of."""
    portico = module_launch(module_backends())
    names = set()
    for line in portico.ask_admin("/metrics").body.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            names |= {name + part for part in (("_bucket", "_sum", "_count") if kind == "histogram" else ("",))}
    return names


def test_the_dashboard_asks_for_metrics_that_exist(told):
    board = json.loads(BOARD.read_text())
    queries = list(expressions(board))
    assert len(queries) > 30
    for query in queries:
        for name in METRIC.findall(query):
            assert name in told, f"{name} in {query}"


def test_the_rules_ask_for_metrics_that_exist(told):
    wanted = set()
    for line in RULES.read_text().splitlines():
        if not re.match(r"\s*(#|summary|description)", line):
            wanted.update(METRIC.findall(line))
    assert wanted and wanted <= told, wanted - told


def test_the_dashboard_is_whole():
    """Panels have numbers of their own and do not lie on each other; its queries parse."""
    board = json.loads(BOARD.read_text())
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = {}
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken[x, y]}"
                taken[x, y] = panel["title"]


def test_the_dashboards_queries_parse(need, tmp_path):
    need("promtool")
    rules = []
    for i, query in enumerate(expressions(json.loads(BOARD.read_text()))):
        if query.startswith("label_values"):
            continue
        query = query.replace("$__rate_interval", "5m").replace("$instance", ".*")
        rules.append({"record": f"query:{i}", "expr": query})
    file = tmp_path / "queries.json"  # JSON is YAML
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = promtool("check", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr
