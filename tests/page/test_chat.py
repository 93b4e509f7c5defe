"""The chat page's modules that need no browser, in Node; and that JsSIP is what npm has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from imc.page.files import load
from tests.e2e.program import need

HERE = Path(__file__).parent
CHAT = HERE.parents[1] / "imc" / "page" / "chat"
BROWSER = HERE.parent / "e2e" / "browser"


def test_its_modules_by_themselves(tmp_path: Path) -> None:
    # Node takes a .js file for a module only where a package.json says so.
    shutil.copytree(CHAT, tmp_path / "imc" / "page" / "chat")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    test = tmp_path / "tests" / "page" / "chat.test.mjs"
    test.parent.mkdir(parents=True)
    shutil.copy(HERE / test.name, test)
    command = [need("node"), "--test", str(test)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


def test_jssip_is_what_npm_has(tmp_path: Path) -> None:
    node = need("node")
    if not (BROWSER / "node_modules" / "esbuild").is_dir():
        pytest.skip("esbuild is not installed: make browser")
    subprocess.run([node, str(BROWSER / "bundle.mjs"), str(tmp_path)], check=True, timeout=60)
    for name in ("jssip.js", "jssip-licences.txt"):
        assert (tmp_path / name).read_bytes() == (CHAT / name).read_bytes(), "make page"
    locked = json.loads((BROWSER / "package-lock.json").read_text())["packages"]["node_modules/jssip"]["version"]
    assert f"JsSIP {locked} (MIT)" in (CHAT / "jssip.js").read_text().splitlines()[0]


@pytest.mark.parametrize("path", sorted(load("chat")))
def test_nothing_is_loaded_from_elsewhere_or_made_of_texts(path: str) -> None:
    """What the policy would stop, and what no test of hostile texts should have to find."""
    file = load("chat")[path]
    if not file.media_type.startswith("text/") or path.startswith("/jssip"):
        return
    text = file.content.decode()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", text)
    for found in re.findall(r"(?:from|src=|href=) ?['\"]([^'\"#]+)['\"]", text):
        assert "/" + found.removeprefix("./") in load("chat"), found
