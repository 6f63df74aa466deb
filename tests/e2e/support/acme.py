"""An ACME client of a few lines, to ask a CA what it has of an account: with the account's own key, from the storage."""

import base64
import json
import re
import ssl
import urllib.request

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils


def _b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _b64_json(value):
    return _b64(json.dumps(value).encode())


class Account:
    """The one account of a Portico's storage, whose key is of P-256."""

    def __init__(self, storage, ca_path):
        (path,) = (storage / "account").iterdir()
        record = json.loads(path.read_text())
        self.key = serialization.load_pem_private_key(record["key"].encode(), None)
        self.url = record["url"]
        self.context = ssl.create_default_context(cafile=str(ca_path))

    def _nonce(self):
        url = re.match(r"https://[^/]+", self.url)[0] + "/nonce-plz"
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), context=self.context, timeout=10) as answer:
            return answer.headers["Replay-Nonce"]

    def read(self, url):
        """The document at this URL, by POST-as-GET."""
        protected = _b64_json({"alg": "ES256", "kid": self.url, "nonce": self._nonce(), "url": url})
        r, s = utils.decode_dss_signature(self.key.sign(f"{protected}.".encode(), ec.ECDSA(hashes.SHA256())))
        jws = {"protected": protected, "payload": "", "signature": _b64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))}
        headers = {"Content-Type": "application/jose+json"}
        request = urllib.request.Request(url, json.dumps(jws).encode(), headers)
        with urllib.request.urlopen(request, context=self.context, timeout=10) as answer:
            return json.load(answer)
