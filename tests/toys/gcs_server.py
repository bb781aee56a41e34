"""A small Google Cloud Storage in memory: the JSON calls that TensorStore's `gcs` driver makes.

    with GcsServer(buckets=("b",)) as server:      # sets TENSORSTORE_GCS_HTTP_URL for the process
        ts.KvStore.open("gs://b/folder/")

With `python_clients` set, google-cloud-storage and gcsfs read from it too, and so does Orbax.

GET    /storage/v1/b/BUCKET                     that it is there
GET    /storage/v1/b/BUCKET/o/KEY?alt=media     read, with `Range: bytes=a-b`
GET    /storage/v1/b/BUCKET/o?prefix=P          list, in pages, and with a delimiter whole
POST   /upload/storage/v1/b/BUCKET/o?name=KEY   write, with `ifGenerationMatch`, whole or in pieces
DELETE /storage/v1/b/BUCKET/o/KEY               delete
"""

import http.server
import json
import os
import re
import threading
import urllib.parse

PAGE = 100  # objects in one page of a listing, small so that a test pages


class GcsServer:
    """Buckets in memory, served on loopback; `requests` records (method, bucket, key, range)."""

    def __init__(self, buckets=("bucket",), deny=()):
        self.buckets = {name: {} for name in buckets}  # name -> {key: (generation, bytes)}
        self.deny = set(deny)  # buckets that answer 403
        self.requests = []
        self.generation = 0
        self.uploads = {}  # number of an upload under way -> what has come of it
        self.lock = threading.Lock()

    def __enter__(self):
        handler = type("Handler", (_Handler,), {"store": self})
        self.httpd = _Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.httpd.server_address[1]}"
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()
        self.before = os.environ.get("TENSORSTORE_GCS_HTTP_URL")
        os.environ["TENSORSTORE_GCS_HTTP_URL"] = self.url
        return self

    def __exit__(self, *exc):
        self.httpd.shutdown()
        self.httpd.server_close()
        del os.environ["TENSORSTORE_GCS_HTTP_URL"]
        if self.before is not None:
            os.environ["TENSORSTORE_GCS_HTTP_URL"] = self.before


def python_clients(server, monkeypatch):
    """Points epath at gcsfs instead of TensorFlow, whose address of GCS is fixed, and both clients here."""
    monkeypatch.setattr("etils.epath.gpath._is_tf_installed", lambda: False)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # asks for credentials


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128  # TensorStore opens 64 connections at once; 5, the default, drop some


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet per answer: two would wait 40 ms for a delayed acknowledgement

    def log_message(self, *args):
        """Quiet: pytest's output is for failures."""

    def _route(self):
        parts = urllib.parse.urlsplit(self.path)
        match = re.match(
            r"^(?:/upload|/download)?/storage/v1/b/([^/]+)(?:/o(?:/(.+))?)?$", parts.path
        )
        query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
        key = urllib.parse.unquote(match[2]) if match[2] else None
        self.store.requests.append((self.command, match[1], key, self.headers.get("Range")))
        if match[1] in self.store.deny:
            self._error(403, "Anonymous caller does not have storage.objects access.")
            return None, key, query
        objects = self.store.buckets.get(match[1])
        if objects is None:
            self._error(404, "The specified bucket does not exist.")
        return objects, key, query

    def _error(self, code, message):
        body = {"error": {"code": code, "message": message}}
        self._send(code, json.dumps(body).encode(), Content_Type="application/json")

    def _send(self, code, body=b"", **headers):
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def _metadata(self, key, generation, value):
        return {"name": key, "generation": str(generation), "size": str(len(value))}

    def do_GET(self):
        objects, key, query = self._route()
        if objects is None:
            return
        if not re.search(r"/o(?:[/?]|$)", self.path):
            self._send(200, b"{}", Content_Type="application/json")
        elif key is None:
            self._list(objects, query)
        elif key not in objects:
            self._error(404, "No such object")
        else:
            self._read(key, *objects[key], query)

    def _folder(self, objects, prefix, delimiter):
        """What stands in a folder, and the folders in it."""
        below = [(key, key[len(prefix) :]) for key in sorted(objects) if key.startswith(prefix)]
        items = [self._metadata(k, *objects[k]) for k, rest in below if delimiter not in rest]
        folders = {rest.partition(delimiter)[0] for _, rest in below if delimiter in rest}
        found = {"items": items, "prefixes": [prefix + f + delimiter for f in sorted(folders)]}
        self._send(200, json.dumps(found).encode(), Content_Type="application/json")

    def _list(self, objects, query):
        if query.get("delimiter"):
            return self._folder(objects, query.get("prefix", ""), query["delimiter"])
        keys = sorted(k for k in list(objects) if k.startswith(query.get("prefix", "")))
        keys = [k for k in keys if k >= query.get("startOffset", "")]
        if query.get("endOffset"):
            keys = [k for k in keys if k < query["endOffset"]]
        start = int(query.get("pageToken") or 0)
        page = {"items": [self._metadata(k, *objects[k]) for k in keys[start : start + PAGE]]}
        if start + PAGE < len(keys):
            page["nextPageToken"] = str(start + PAGE)
        self._send(200, json.dumps(page).encode(), Content_Type="application/json")

    def _read(self, key, generation, value, query):
        if query.get("alt") != "media":
            about = json.dumps(self._metadata(key, generation, value)).encode()
            return self._send(200, about, Content_Type="application/json")
        wanted = re.match(r"bytes=(\d+)-(\d*)$", self.headers.get("Range", ""))
        if not wanted:
            return self._send(200, value, X_Goog_Generation=generation)
        start = int(wanted[1])
        stop = min(int(wanted[2]) + 1 if wanted[2] else len(value), len(value))
        if start >= len(value):
            return self._send(416, Content_Range=f"bytes */{len(value)}")
        span = f"bytes {start}-{stop - 1}/{len(value)}"
        return self._send(206, value[start:stop], X_Goog_Generation=generation, Content_Range=span)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        objects, _, query = self._route()
        if objects is None:
            return
        if "upload_id" in query:
            body = self._more(query["upload_id"], body)
        elif query.get("uploadType") == "resumable":
            return self._begin()
        if body is not None:
            self._write(objects, query["name"], body, query)

    def _begin(self):
        """An upload in pieces: where they go."""
        number = str(len(self.store.uploads))
        self.store.uploads[number] = b""
        self._send(200, Location=f"{self.store.url}{self.path}&upload_id={number}")

    def _more(self, number, body):
        """All of the object once its last piece is here; else the answer is how much is here."""
        self.store.uploads[number] += body
        whole = self.store.uploads[number]
        if not self.headers["Content-Range"].endswith("/*"):
            return whole
        self._send(308, Range=f"bytes=0-{len(whole) - 1}")

    def _write(self, objects, key, body, query):
        with self.store.lock:
            generation = objects[key][0] if key in objects else 0
            if int(query.get("ifGenerationMatch", generation)) != generation:
                return self._send(412)
            self.store.generation += 1
            objects[key] = (self.store.generation, body)
        self._send(200, json.dumps(self._metadata(key, *objects[key])).encode())

    def do_DELETE(self):
        objects, key, _ = self._route()
        if objects is not None:
            found = objects.pop(key, None)
            self._send(204 if found else 404)
