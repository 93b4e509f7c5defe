"""Messages with names planted everywhere they could stand: well-formed mostly, and never what a client would send."""

from __future__ import annotations

from hypothesis import strategies as st

# Nothing that SIP itself, a pseudonym or a command could be.
WORDS = ("zaphod", "trillian", "magrathea", "betelgeuse", "slartibartfast", "marvin42")
NAMES = (*WORDS, "10.42.17.99", "2001:db8:beef::99")
HEADERS = (
    'From: "{0} {1}" <sip:{0}@{2}.example>;tag={3};{4}={5}',
    "To: {0} <sip:{1}@{6}>",
    'Contact: "{0}" <sip:{1}:{2}@{6}:5062;{3}={4};transport={5}?{0}={1}>;+sip.instance="<urn:{2}>";{3}={4};q={5}',
    "Contact: <sip:{1}@{6}>;expires={0};reg-id={2};lr={3}",
    "Contact: <tel:+4917{0}>, <mailto:{1}@{2}.example>, <{3}:{4}>",
    "Via: SIP/2.0/{0} {1}.example:99;branch={2};received={6};{3}={4};rport={5}",
    "Via: SIP/2.0/UDP [{7}];branch=z9hG4bK{2};maddr={1}.example",
    "Call-ID: {0}@{6}",
    "In-Reply-To: {0}@{1}",
    "Subject: {0} and {1}",
    "Organization: {0}",
    "User-Agent: {0}/1.0-{1} ({2}) baresip/{3} v1.{4}",
    "Server: imc/{0} {1}.example",
    'Authorization: Digest username="{0}@{1}", realm="{2}", nonce="{3}", uri="sip:{4}@{6}", response="{5}"',
    'Authorization: Digest algorithm={0}, qop={1}, nc={2}, cnonce="{3}", {4}="{5}", stale={0}',
    "Authorization: {0} {1}",
    'WWW-Authenticate: Digest realm="{2}.example", nonce="{3}", domain="sip:{4}", opaque="{5}", qop="{0}"',
    "Warning: 399 {1}.example:5060 \"{0} is not {2}\", 399 {3} \"{4}\"",
    "Content-Type: text/plain;charset={0};{1}={2}",
    "Content-Type: application/vnd.{0}+json;{1}=\"{2}\"",
    "Content-Type: {0}/{1}",
    "Content-Disposition: {0};handling={1};{2}",
    "Allow: MESSAGE, {0}",
    "Accept: text/plain;{0}={1}, {2}/*",
    "Supported: {0}",
    "Event: {0};id={1}",
    "Auto-Submitted: {0}",
    "IMC-Event: {0}",
    "Expires: 300 ({0})",
    "Retry-After: 5 ({0});duration={1}",
    "Date: {0}",
    "Timestamp: {0}",
    "Priority: {0}",
    "Privacy: {0}",
    "P-Asserted-Identity: \"{0}\" <sip:{1}@{2}.example>, <tel:{3}>",
    "Record-Route: <sip:{1}.example;lr;{2}={3}>",
    "Path: <sip:{0}@{6};lr>",
    "Refer-To: <sip:{0}@{1}.example;method={2}?Replaces={3}>",
    "X-{0}: {1}",
    "{0}: {1} <sip:{2}@{3}>",
    "Session-Id: {0};remote={1}",
    "MIME-Version: {0}",
    "Max-Forwards: 70",
    "CSeq: 7 {0}",
)  # fmt: skip
TEXTS = (
    "#create {0} private",
    "#invite sip:{0}@{1}.example {2}",
    "#invite <{0}@{6}> {2}@{1}.example",
    "#MODIFY {0} admin {2} {3}",
    "#modify {0} {1}",
    "#{0} {1}",
    "#help {0}\r\n{1} says: {2}",
    "[{0}]: hello {1}, write to {2}@{3}.example or sip:{4}@{6}:5060;{5} at http://{0}.example/{1}",
    "{0}, {1}'s {2}-{3} {4}_{5} {0}{1} x{2} {6} [{7}] +49 171 2345678",
    '{{"user": "{0}", "{1}": ["{2}", 12345]}}',
    "<x:{0} y='{1}'>{2}</x:{0}>",
    "From: {0} <sip:{1}@{2}.example>\r\nTo: <im:{3}@{4}>\r\n\r\nContent-Type: text/plain\r\n\r\n{5} said {0}",
)


def spelled(text: str, way: int) -> str:
    return [text, text.capitalize(), text.upper()][way % 3]


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A message with names planted everywhere they could stand."""
    names = [spelled(name, draw(st.integers(0, 2))) for name in draw(st.permutations(WORDS))] + list(NAMES[6:])
    lines = [line.format(*names) for line in draw(st.lists(st.sampled_from(HEADERS), max_size=8, unique=True))]
    first = [draw(st.sampled_from([f"MESSAGE sip:{names[0]}@{names[1]}.example;{names[2]}={names[3]} SIP/2.0",
                                   f"{names[0].upper()} sip:{names[1]}@{names[6]}:99 SIP/2.0",
                                   f"SIP/2.0 403 {names[0]} is not {names[1]}"]))]  # fmt: skip
    method = first[0].split(" ")[0] if not first[0].startswith("SIP") else "MESSAGE"
    given_ = {line.partition(":")[0] for line in lines}
    for line in (
        f"Via: SIP/2.0/UDP {names[0]}.example;branch=z9hG4bK1",
        f"From: <sip:{names[0]}@{names[1]}.example>;tag=1",
        "To: <sip:chat-x@y.example>",
        "Call-ID: 1",
        f"CSeq: 1 {method}",
    ):
        lines += [line] if line.partition(":")[0] not in given_ else []
    lines = [line if not line.startswith("CSeq") else f"CSeq: 1 {method}" for line in lines]
    body = draw(st.sampled_from(TEXTS)).format(*names).encode()
    return "\r\n".join([*first, *lines, f"Content-Length: {len(body)}", "", ""]).encode() + body
