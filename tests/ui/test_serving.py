"""The running server gives away nothing but its own pages, listens here only, and leaves nothing behind."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ui.worlds import Home, Served, served

UP = "../" * 12
ENCODED = "%2e%2e%2f" * 12
BEFORE = (
    "/",
    "//",
    "/static/",
    "/static/js/",
    "/app/static/",
    "/media/",
    "/component/lookalike.tiles/",
    "/component/",
    "/_stcore/bidi-components/lookalike.tiles/",
    "/_stcore/upload_file/",
    "/_stcore/",
    "/vendor/",
)
"""Where Streamlit serves files of any kind, and where it does not."""


def spellings(file: Path) -> list[str]:
    """A file's name in every way that made some server give it away."""
    bare = str(file).lstrip("/")
    ups = [UP, ENCODED, ENCODED.upper(), "..%2f" * 12, "%2e%2e/" * 12, "%252e%252e%252f" * 12]
    ups += ["..\\" * 12, "..%5c" * 12, "....//" * 12, "..;/" * 12, "%c0%ae%c0%ae/" * 12, "x/" + UP]
    ways = [up + bare for up in ups]
    ways += [f"/{bare}", bare, "%2f" + bare.replace("/", "%2f"), f"file:///{bare}", f"{UP}{bare}%00.png"]
    queries = [f"?file=/{bare}", f"?path={UP}{bare}", f"?url=file:///{bare}"]
    return [*ways, *queries]


@pytest.fixture(scope="module")
def app(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """``lookalike ui`` as a process of its own."""
    with served(home.root, tmp_path_factory.mktemp("temporary"), "ui") as running:
        yield running


def answer(app: Served, target: str, host: str = "") -> tuple[int, bytes]:
    """What the server says to a request for ``target``, sent exactly as it is written."""
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=20)
    try:
        connection.putrequest("GET", target, skip_host=bool(host))
        if host:
            connection.putheader("Host", host)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_no_file_of_this_machine_is_served(app: Served, home: Home, tmp_path: Path) -> None:
    status, page = answer(app, "/")
    assert status == 200 and b"<!doctype html>" in page.lower(), "or nothing below proves anything"
    outside = tmp_path / "secret.txt"
    outside.write_text("root:secret")
    [record] = (home.root / "outputs").glob("fine/record.json")
    inside = next(home.pictures.rglob("*.png"))
    secrets = {
        Path("/etc/passwd"): b"root:",
        outside: b"root:secret",
        record: b'"format"',
        inside: inside.read_bytes()[:64],
        Path(__file__).parents[2] / "src/lookalike/ui/app.py": b"UPLOAD_PIXELS",
    }
    for file, telling in secrets.items():
        assert telling in file.read_bytes()
        for before in BEFORE:
            for way in spellings(file):
                status, body = answer(app, before + way)
                assert telling not in body, f"{before}{way} gave {file} away"


def test_a_request_target_that_is_a_whole_address_is_no_way_around(app: Served) -> None:
    for target in ("file:///etc/passwd", f"{app.address}/{UP}etc/passwd", "etc/passwd", "*"):
        assert b"root:" not in answer(app, target)[1]


def test_it_listens_on_this_machine_only(app: Served) -> None:
    with socket.create_connection(("127.0.0.1", app.port), timeout=5):
        pass
    for other in _other_addresses():
        with pytest.raises(OSError), socket.create_connection((other, app.port), timeout=5):
            pass


def _other_addresses() -> set[str]:
    """127.0.0.2 reaches whoever listens on all addresses, on any Linux; and this machine's own, if any."""
    try:
        own = socket.gethostbyname(socket.gethostname())
    except OSError:
        own = "127.0.0.2"
    return {"127.0.0.2", own} - {"127.0.0.1"}


@pytest.mark.parametrize(("host", "status"), [("127.0.0.1", 101), ("rebound.example.com", 403)])
def test_a_foreign_name_for_this_machine_gets_no_session(app: Served, host: str, status: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=20)
    connection.putrequest("GET", "/_stcore/stream", skip_host=True)
    headers = {"Host": f"{host}:{app.port}", "Origin": f"http://{host}:{app.port}", "Upgrade": "websocket"}
    headers |= {"Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    headers |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "streamlit"}
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status == status
    connection.close()


def test_temporary_files_go_when_it_ends(home: Home, tmp_path: Path) -> None:
    with served(home.root, tmp_path, "ui", "--run", "fine") as running:
        [folder] = tmp_path.iterdir()
        assert folder.name.startswith("lookalike-ui-")
        said = running.end()
    assert list(tmp_path.iterdir()) == []
    assert said.startswith(f"searching fine on {running.address} (Ctrl-C ends it)\n")
    assert running.process.returncode == 0


@pytest.mark.parametrize(
    "origin", ["http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1", "https://a.example"]
)
def test_a_websocket_of_another_page_is_refused(app: Served, origin: str) -> None:
    assert upgraded(app, origin) == 403


def test_a_websocket_of_its_own_page_is_taken(app: Served) -> None:
    assert upgraded(app, f"http://127.0.0.1:{app.port}") == 101


def upgraded(app: Served, origin: str) -> int:
    """The status of the answer to a websocket's handshake from a page of ``origin``."""
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=20)
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Origin": origin,
    }
    try:
        connection.request("GET", "/_stcore/stream", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()
