"""Looks at the daemon's dashboard with a real browser; see the script beside this file."""

import base64
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

DWEB, CHROMIUM, PICTURES = sys.argv[1], sys.argv[2], sys.argv[3]
# A network of its own that has no other node.
ALONE = ["--bootstrap", "127.0.0.1:9", "--host", "127.0.0.1"]


def check(isTrue, sentence):
    print(("ok      " if isTrue else "FAILED  ") + sentence)
    if not isTrue:
        sys.exit(1)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Browser:
    """A page of a headless Chromium, driven over its debugging protocol (a WebSocket, RFC 6455)."""

    def __init__(self, folder):
        port = free_port()
        self.process = subprocess.Popen(
            [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", f"--remote-debugging-port={port}",
             "--remote-allow-origins=*", "--window-size=1280,1000", f"--user-data-dir={folder}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        pages = []
        for _ in range(150):
            try:
                pages = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=5))
                break
            except OSError:
                time.sleep(0.2)
        path = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page").split("/", 3)[3]
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.buffer = b""
        self.socket.sendall(
            f"GET /{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: ZGlzdHJpYnV0ZWQgd2ViIQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += self.socket.recv(65536)
        self.buffer = self.buffer.split(b"\r\n\r\n", 1)[1]
        self.number = 0
        self.events = []
        for domain in ["Network", "Page", "Runtime", "Log"]:
            self.call(domain + ".enable")

    def read(self, count):
        while len(self.buffer) < count:
            received = self.socket.recv(65536)
            if not received:
                raise EOFError("the browser is gone")
            self.buffer += received
        result, self.buffer = self.buffer[:count], self.buffer[count:]
        return result

    def receive(self):
        message = b""
        while True:
            first, second = self.read(2)
            count = second & 127
            if count == 126:
                count = struct.unpack(">H", self.read(2))[0]
            elif count == 127:
                count = struct.unpack(">Q", self.read(8))[0]
            message += self.read(count)
            if first & 128:
                return json.loads(message)

    def call(self, method, **parameters):
        self.number += 1
        text = json.dumps({"id": self.number, "method": method, "params": parameters}).encode()
        # A mask of zeros leaves the bytes as they are.
        size = bytes([128 | len(text)]) if len(text) < 126 else bytes([254]) + struct.pack(">H", len(text))
        self.socket.sendall(b"\x81" + size + bytes(4) + text)
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                return answer["result"]
            self.events.append(answer)

    def value(self, expression):
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def text(self, section):
        return " ".join(self.value(f"document.getElementById('{section}').innerText").split())

    def wait(self, condition, seconds):
        """The seconds until `condition` holds; None if it does not in time."""
        start = time.time()
        while time.time() - start < seconds:
            if condition():
                return time.time() - start
            time.sleep(0.1)
        return None

    def picture(self, path, look):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": look}])
        height = max(600, min(1400, self.value("document.documentElement.scrollHeight")))
        self.call("Emulation.setDeviceMetricsOverride", width=1280, height=height, deviceScaleFactor=1, mobile=False)
        time.sleep(0.5)
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self):
        self.process.terminate()
        self.process.wait()


def main(lab):
    environment = dict(os.environ, HOME=lab, DWEB_HOME=lab + "/home", DWEB_DAEMON=lab + "/daemon")
    os.makedirs(lab + "/photos")
    for index in range(150):
        with open(f"{lab}/photos/{index:03}.jpg", "wb") as file:
            file.write(os.urandom(20_000))
    port = free_port()

    def dweb(*arguments, **options):
        return subprocess.run(
            [DWEB, *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
            **options)

    def start():
        dweb("daemon", "start", "--detach", "--web-port", str(port), *ALONE, check=True)

    start()
    browser = Browser(lab + "/browser")
    try:
        origin = f"http://127.0.0.1:{port}/"
        browser.call("Page.navigate", url=origin)
        check(browser.wait(lambda: "Nothing is seeded" in browser.text("seeds"), 20) is not None, "the page is there")
        print("        " + browser.call("Browser.getVersion")["product"])
        browser.value("window.isFirstPage = true")

        share = subprocess.Popen(
            [DWEB, "share", lab + "/photos", *ALONE], env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        came = browser.wait(lambda: "photos" in browser.text("seeds") and "Complete" in browser.text("seeds"), 30)
        check(came is not None, f"what is shared appears by itself, complete, after {came or 0:.1f} s")
        check("loopback" in browser.text("peers"), "so does the peer it came from, with its path")
        key = share.communicate(timeout=60)[0].strip()
        check(share.returncode == 0, "the share ended by itself: the daemon keeps it")
        gone = browser.wait(lambda: "loopback" not in browser.text("peers"), 20)
        check(gone is not None, f"the peer disappears after {gone or 0:.1f} s")

        got = dweb("get", key, lab + "/copy", "--store", lab + "/copy-store", *ALONE)
        check(got.returncode == 0, "what is shared can be fetched from the daemon")
        sent = browser.wait(lambda: "3.0 MB since the start" in browser.value(
            "document.querySelectorAll('#cards > *')[1].innerText"), 20)
        check(sent is not None, f"what was sent is counted after {sent or 0:.1f} s")
        if PICTURES:
            os.makedirs(PICTURES, exist_ok=True)
            browser.picture(PICTURES + "/dashboard-light.png", "light")
            browser.picture(PICTURES + "/dashboard-dark.png", "dark")

        dweb("daemon", "stop", check=True)
        notice = "document.getElementById('connection').hidden"
        check(browser.wait(lambda: browser.value(notice) is False, 20) is not None, "the page says that the daemon is gone")
        start()
        back = browser.wait(lambda: browser.value(notice) is True and "photos" in browser.text("seeds"), 30)
        check(back is not None, f"it goes on {back or 0:.1f} s after the daemon is back")
        check(browser.value("window.isFirstPage") is True, "all that without loading the page again")

        requests = {event["params"]["request"]["url"] for event in browser.events
                    if event.get("method") == "Network.requestWillBeSent"}
        check(all(url.startswith(origin) for url in requests), f"nothing was loaded from elsewhere ({len(requests)} addresses)")
        faults = [event for event in browser.events if event.get("method") == "Runtime.exceptionThrown"]
        check(not faults, "no script failed")
    finally:
        browser.close()
        dweb("daemon", "stop")


folder = tempfile.mkdtemp(prefix="dweb-dashboard-", dir="/tmp")
try:
    main(folder)
finally:
    shutil.rmtree(folder, ignore_errors=True)
