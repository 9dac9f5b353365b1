"""Where results come from: the checkout, against git itself."""

import subprocess
from pathlib import Path

from mmbench.run.provenance import checkout


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Nobody", "-c", "user.email=nobody@example.org"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_checkout_has_a_revision_and_says_whether_it_is_dirty(tmp_path: Path) -> None:
    assert checkout(tmp_path) == {}
    git(tmp_path, "init", "-q")
    package = tmp_path / "mmbench"
    package.mkdir()
    (package / "__init__.py").write_text("")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    revision = git(tmp_path, "rev-parse", "HEAD")
    assert checkout(package) == {"revision": revision, "dirty": False}
    (package / "new.py").write_text("")
    assert checkout(package) == {"revision": revision, "dirty": True}


def test_an_installed_copy_inside_another_repository_has_none(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text("site-packages\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    package = tmp_path / "site-packages" / "mmbench"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    assert checkout(package) == {}
