"""The examples of the documents are configurations that Portico takes: each is run by a shell, with `check` in place of what
it would do."""

import pathlib
import re
import subprocess

import pytest

pytestmark = pytest.mark.smoke

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", "deploy/COMING-FROM.md")


def shell_blocks(text):
    return [block for block in re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S) if "PORTICO_" in block]


def yaml_environments(text):
    """Compose's environment and a pod's, as shell."""
    for block in re.findall(r"^```yaml\n(.*?)^```$", text, re.M | re.S):
        pairs = re.findall(r'^\s+(?:- { name: )?(PORTICO_\w+)(?:, value)?: "?(.*?)"?(?: }.*)?$', block, re.M)
        if pairs:
            yield "".join(f"export {name}='{value}'\n" for name, value in pairs) + "portico\n"


def manual_examples(page):
    section = page.split('\n.SH EXAMPLES\n')[1].split("\n.SH ")[0]
    for block in re.findall(r"^\.ft B\n(.*?)^\.ft R$", section, re.M | re.S):
        yield block.replace(r"\(aq", "'").replace(r"\-", "-").replace(r"\e", "\\")


@pytest.fixture
def takes(binary, tmp_path):
    """Runs a block; its `portico` is ours, and only checks."""
    program = tmp_path / "portico"
    program.write_text(f'#!/bin/sh\nexec "{pathlib.Path(binary).resolve()}" check\n')
    program.chmod(0o755)

    def run(block):
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path)}
        return subprocess.run(["bash", "-euc", block], env=environment, capture_output=True, text=True, timeout=30)

    return run


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_examples_of_a_document_are_taken(takes, document):
    text = (ROOT / document).read_text()
    blocks = shell_blocks(text) + list(yaml_environments(text))
    assert blocks
    for block in blocks:
        done = takes(block)
        assert (done.returncode, done.stderr) == (0, ""), block


def test_the_examples_of_the_manual_are_taken(takes, binary):
    page = subprocess.run([binary, "help", "--man"], check=True, capture_output=True, text=True).stdout
    blocks = list(manual_examples(page))
    assert len(blocks) >= 4
    for block in blocks:
        done = takes(block)
        assert (done.returncode, done.stderr) == (0, ""), block
        assert "PORTICO_DOMAINS" in done.stdout


def test_a_wrong_example_would_be_found(takes):
    assert takes("PORTICO_DOMIANS=a.example portico").returncode == 78


def test_the_routes_that_are_explained_are_those_that_are_made(takes):
    text = (ROOT / "deploy/DETAILS.md").read_text().split("## Names and routes")[1].split("\n## ")[0]
    items = re.findall(r"^    (\S.*?)(?:  +\S.*)$", text, re.M)
    assert len(items) == 4
    done = takes(f"export PORTICO_DOMAINS='{','.join(items)}' PORTICO_UPSTREAM=http://app:8000\nportico")
    assert (done.returncode, done.stderr) == (0, "")
    assert "a.example.com -> http://app:8000" in done.stdout
    assert "www.b.example.com -> http://b:8000" in done.stdout
    assert "c.example.com -> http://c1:8000 http://c2:8000" in done.stdout
    assert "old.example.com => https://new.example.com" in done.stdout
