# SPDX-License-Identifier: Apache-2.0
"""AWS Signature Version 4 for S3, small enough to be spoiled on purpose: headers, presigned URLs, signed chunks."""
import base64
import datetime
import hashlib
import hmac
from urllib.parse import quote

UNSIGNED = "UNSIGNED-PAYLOAD"
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_CHUNKS_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
EMPTY_HASH = hashlib.sha256(b"").hexdigest()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def encode(text, safe="-_.~"):
    return quote(text, safe=safe)


def encode_path(path):
    return encode(path, "-_.~/")


def encode_query(query):
    """Query items, a list of pairs, in the order and form that are signed; a value of None is sent without `=`."""
    return "&".join(f"{key}={value}" for key, value in sorted((encode(key), encode(value or "")) for key, value in query))


class Signer:
    def __init__(self, access_key, secret_key, region="us-east-1"):
        self.access_key, self.secret_key, self.region = access_key, secret_key, region

    def scope(self, when):
        return f"{when:%Y%m%d}/{self.region}/s3/aws4_request"

    def sign(self, text, when):
        key = f"AWS4{self.secret_key}".encode()
        for part in self.scope(when).split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

    def signature(self, method, path, query, headers, signed, payload_hash, when):
        """`path` as on the wire (encoded), `query` as pairs, `headers` with lower-case names, `signed` their order."""
        lines = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in signed)
        canonical = "\n".join([method, path, encode_query(query), lines, ";".join(signed), payload_hash])
        return self.sign("\n".join(["AWS4-HMAC-SHA256", f"{when:%Y%m%dT%H%M%SZ}", self.scope(when), sha256(canonical.encode())]), when)

    def authorize(self, method, path, query, headers, payload_hash, when=None):
        """Adds x-amz-date, x-amz-content-sha256 and authorization to a copy of `headers`, signing all of them."""
        when = when or now()
        headers = {name.lower(): value for name, value in headers.items()}
        headers.setdefault("x-amz-date", f"{when:%Y%m%dT%H%M%SZ}")
        headers.setdefault("x-amz-content-sha256", payload_hash)
        signed = sorted(name for name in headers if name not in ("connection", "expect", "transfer-encoding", "user-agent"))
        signature = self.signature(method, path, query, headers, signed, payload_hash, when)
        headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={self.access_key}/{self.scope(when)}, "
                                    f"SignedHeaders={';'.join(signed)}, Signature={signature}")
        return headers

    def presign(self, method, path, query, headers, expires, when=None, payload_hash=UNSIGNED):
        """The query string of a presigned URL whose signed headers are `headers` (at least host)."""
        when = when or now()
        headers = {name.lower(): value for name, value in headers.items()}
        signed = sorted(headers)
        query = list(query) + [("X-Amz-Algorithm", "AWS4-HMAC-SHA256"), ("X-Amz-Credential", f"{self.access_key}/{self.scope(when)}"),
                               ("X-Amz-Date", f"{when:%Y%m%dT%H%M%SZ}"), ("X-Amz-Expires", str(expires)),
                               ("X-Amz-SignedHeaders", ";".join(signed))]
        signature = self.signature(method, path, query, headers, signed, payload_hash, when)
        return encode_query(query) + "&X-Amz-Signature=" + signature

    def signature_v2(self, text):
        """Signature version 2 of a string to sign."""
        return base64.b64encode(hmac.new(self.secret_key.encode(), text.encode(), hashlib.sha1).digest()).decode()

    def presign_v2(self, method, resource, expires_at):
        """The query of an URL of version 2 for a request without x-amz-* headers; `resource` as it is signed."""
        signature = self.signature_v2(f"{method}\n\n\n{expires_at}\n{resource}")
        return f"AWSAccessKeyId={encode(self.access_key)}&Expires={expires_at}&Signature={encode(signature)}"

    def frame_signed(self, pieces, seed_signature, when, trailer=None):
        """aws-chunked framing of `pieces` (the last one empty) with chunk signatures; `trailer` is a (name, value)."""
        previous, framed = seed_signature, b""
        scope, stamp = self.scope(when), f"{when:%Y%m%dT%H%M%SZ}"
        for piece in [*pieces, b""]:
            text = "\n".join(["AWS4-HMAC-SHA256-PAYLOAD", stamp, scope, previous, EMPTY_HASH, sha256(piece)])
            previous = self.sign(text, when)
            framed += b"%x;chunk-signature=%s\r\n" % (len(piece), previous.encode())
            framed += piece + b"\r\n" if piece else b""
        if trailer is None:
            return framed + b"\r\n"
        text = "\n".join(["AWS4-HMAC-SHA256-TRAILER", stamp, scope, previous, sha256(f"{trailer[0]}:{trailer[1]}\n".encode())])
        return framed + f"{trailer[0]}:{trailer[1]}\r\nx-amz-trailer-signature:{self.sign(text, when)}\r\n\r\n".encode()


def frame_unsigned(pieces, trailer=None):
    framed = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n"
    return framed + (f"{trailer[0]}:{trailer[1]}\r\n\r\n".encode() if trailer else b"\r\n")


def now():
    return datetime.datetime.now(datetime.timezone.utc)
