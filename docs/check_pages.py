"""Check the built site: ``python docs/check_pages.py`` after ``make docs``.

Links within the site lead to a page and a place on it. Pages are opened in Chromium at
two widths: nothing is wider than the window, and the console has no error. Chromium is
that of playwright (``playwright install chromium``), or the one that CHROMIUM names;
without one, links alone are checked, and the reason is printed.
"""

import argparse
import os
import shutil
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

SITE = Path(__file__).parent / "_build" / "html"
WIDTHS = (1280, 400)

# Opened in Chromium: of each section one page at least, those with the widest content.
OPENED = (
    "index.html",
    "which_model.html",
    "guide/*.html",
    "scale/*.html",
    "ship/*.html",
    "coming_from/*.html",
    "extend/*.html",
    "evidence/*.html",
    "benchmarks.html",
    "defaults.html",
    "faq.html",
    "auto_examples/*.html",
    "api/index.html",
    "api/generated/*Transformer.html",
    "api/generated/*Detector.html",
)


class Page(HTMLParser):
    """Identifiers and link targets of a page."""

    def __init__(self, path: Path):
        super().__init__()
        self.identifiers, self.targets = set(), []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.identifiers.add(attributes.get("id"))
        if tag == "a":
            self.identifiers.add(attributes.get("name"))
        name = {"a": "href", "link": "href", "img": "src", "script": "src"}.get(tag)
        if attributes.get(name):
            self.targets.append(attributes[name])


read = cache(Page)


def dead_links(path: Path) -> list[str]:
    """Targets within the site that are not there."""
    found = []
    for target in read(path).targets:
        parts = urlsplit(target)
        if parts.scheme or parts.netloc:
            continue
        name, place = urldefrag(unquote(parts._replace(query="").geturl()))
        file = (path.parent / name).resolve() if name else path
        is_there = file.is_file()
        if is_there and place and file.suffix == ".html":
            is_there = place in read(file).identifiers
        if not is_there:
            found.append(f"{path.relative_to(SITE)}: dead link {target}")
    return found


def faults(browser, path: Path, width: int, shots: Path | None) -> list[str]:
    """What is wrong with a page in a window of this width."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    found = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on(
        "console",
        lambda message: found.append(message.text) if message.type == "error" else None,
    )
    page.goto(path.as_uri(), wait_until="load")
    # Formulas are set after the page is loaded.
    page.wait_for_function("!window.MathJax?.startup?.promise || document.fonts.ready")
    wide = page.evaluate("document.documentElement.scrollWidth")
    if wide > width:
        found.append(f"{wide} pixels wide")
    if shots:
        name = path.relative_to(SITE).with_suffix("").as_posix().replace("/", "-")
        page.screenshot(path=shots / f"{name}-{width}.png")
    page.close()
    return [f"{path.relative_to(SITE)} at {width} pixels: {fault}" for fault in found]


def open_pages(shots: Path | None) -> list[str]:
    from playwright.sync_api import Error, sync_playwright

    executable = os.environ.get("CHROMIUM") or shutil.which("chromium")
    paths = sorted({path for name in OPENED for path in SITE.glob(name)})
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=executable, args=["--no-sandbox"]
            )
        except Error as error:
            print(f"No page is opened: {error.message.splitlines()[0]}")
            return []
        print(f"{len(paths)} pages are opened at {WIDTHS} pixels.")
        return [
            fault
            for path in paths
            for width in WIDTHS
            for fault in faults(browser, path, width, shots)
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shots", type=Path, help="folder for pictures of the pages")
    shots = parser.parse_args().shots
    if not SITE.exists():
        sys.exit("There is no site: run make docs.")
    if shots:
        shots.mkdir(parents=True, exist_ok=True)
    pages = sorted(p for p in SITE.rglob("*.html") if "_static" not in p.parts)
    print(f"{len(pages)} pages, links within the site are followed.")
    found = [fault for path in pages for fault in dead_links(path)]
    found += open_pages(shots)
    print("\n".join(found) or "Nothing is wrong.")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
