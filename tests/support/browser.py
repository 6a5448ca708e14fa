"""A real browser, where one is installed; continuous integration installs it."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def chromium() -> Iterator[Any]:
    """Yield an installed Chromium that reaches no host; the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (extra `dev`)")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found and os.environ.get("CI") and shutil.which("apt-get") and os.geteuid() == 0:
        for command in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
            subprocess.run(["apt-get", "--quiet", *command], check=True, capture_output=True)
        found = shutil.which("chromium")
    if not found:
        pytest.skip("no Chromium here; Debian and Ubuntu have it as a package")
    options = ["--host-resolver-rules=MAP * ~NOTFOUND"]  # what asks for a host fails, and is heard of
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=options, chromium_sandbox=os.geteuid() != 0)
        yield browser
        browser.close()
