"""The torture messages of RFC 4475 (49) and RFC 5118 (12) as data: each with the point it makes, rendered anew.

The names are those of the RFCs. What is not the point of a message (identities, the session description) is as short as
it can be; what is the point is kept to the octet. ``status`` is what the parser makes of it as a datagram: None where
it must be accepted, else the status of `BadMessage`; a response is never answered, whatever is wrong with it. ``lazy``
names the property that must raise BadMessage although the message is accepted: the fault does not concern those who do
not read that header. The application's part (404, 405, 416, 420 …) is not the parser's and is not here.
"""

from __future__ import annotations

from dataclasses import dataclass

SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.3\r\ns=-\r\nt=0 0\r\nm=audio 49217 RTP/AVP 0\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Torture:
    name: str
    section: str
    data: bytes
    status: int | None = None
    is_answerable: bool = True
    lazy: str = ""

    def __repr__(self) -> str:
        return self.name


def message(*lines: str, body: bytes = b"", length: bool = True) -> bytes:
    """Lines joined by CRLF, with a Content-Length that fits unless ``length`` is False."""
    head = list(lines)
    if length:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def usual(
    method: str, name: str, *, via: str = "SIP/2.0/UDP host5.example.com;branch=z9hG4bKkdjuw", **other: str
) -> list[str]:
    """The mandatory headers, with those of ``other`` (from_, to, cseq) in place of the usual."""
    return [
        f"Via: {via}",
        f"To: {other.get('to', 'sip:user@example.com')}",
        f"From: {other.get('from_', 'sip:caller@example.net;tag=242etr')}",
        "Max-Forwards: 70",
        f"Call-ID: {name}.0ha0isndaksdj@192.0.2.1",
        f"CSeq: {other.get('cseq', f'8 {method}')}",
    ]


def request(
    method: str, name: str, *extra: str, uri: str = "sip:user@example.com", body: bytes = b"", **other: str
) -> bytes:
    return message(f"{method} {uri} SIP/2.0", *usual(method, name, **other), *extra, body=body)


def response(line: str, name: str, *extra: str, **other: str) -> bytes:
    return message(line, *usual("INVITE", name, **other), *extra)


WSINV = message(
    "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0",
    "TO :",
    " sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n",
    r'from   : "J Rosenberg \\\""       <sip:jdrosen@example.com>',
    "  ;",
    "  tag = 98asjd8",
    "MaX-fOrWaRdS: 0068",
    "Call-ID: wsinv.ndaksdj@192.0.2.1",
    f"Content-Length   : {len(SDP)}",
    "cseq: 0009",
    "  INVITE",
    "Via  : SIP  /   2.0",
    " /UDP",
    "    192.0.2.2;branch=390skdjuw",
    "s :",
    "NewFangledHeader:   newfangled value",
    " continued newfangled value",
    "UnknownHeaderWithUnusualValue: ;;,,;;,;",
    "Content-Type: application/sdp",
    "Route:",
    " <sip:services.example.com;lr;unknownwith=value;unknown-no-value>",
    "v:  SIP  / 2.0  / TCP     spindle.example.com   ;",
    "  branch  =   z9hG4bK9ikj8  ,",
    " SIP  /    2.0   / UDP  192.168.255.111   ; branch=",
    " z9hG4bK30239",
    r'm:"Quoted string \"\"" <sip:jdrosen@example.com> ; newparam =',
    "      newvalue ;",
    "  secondparam ; q = 0.33",
    body=SDP,
    length=False,
)

INTMETH = message(
    "!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
    ":&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0",
    "Via: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~",
    'To: "BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f" <sip:1_unusual.URI~(to-be!sure)&isn\'t+it$/crazy?,/;;*@example.com>',
    "From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>"
    ";fromParam''~+*_!.-%=\"работающий\";tag=_token~1'+`*%!-.",
    "Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{",
    "CSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~",
    "Max-Forwards: 255",
    "extensionHeader-!.%*+_`'~: \ufeff大停電",
)

LONGREQ = message(
    "INVITE sip:user@example.com SIP/2.0",
    f'To: "I have a user name of {"extreme" * 10} proportion"<sip:user@example.com:6000;unknownparam1=very'
    f"{'long' * 20}value;longparam{'name' * 25}=shortvalue;very{'long' * 25}ParameterNameWithNoValue>",
    f"F: sip:{'amazinglylongcallername' * 5}@example.net;tag=12{'982' * 50}424;unknownheaderparam{'name' * 20}="
    f"unknowheaderparam{'value' * 15};unknownValueless{'paramname' * 10}",
    f"Call-ID: longreq.one{'really' * 20}longcallid",
    "CSeq: 3882340 INVITE",
    f"Unknown-{'Long' * 20}-Name: unknown-{'long' * 20}-value; unknown-{'long' * 20}-parameter-name = "
    f"unknown-{'long' * 20}-parameter-value",
    *(
        f"{name}: SIP/2.0/TCP sip{number}.example.com"
        for number, name in zip(
            range(33, 0, -1),
            ["Via", "v", "V", "Via", "ViA", "VIa", "VIA", "via", "viA", "vIa", "vIA"]
            + ["V ", "v ", "V  ", "v  ", "Via ", "Via  "]
            + ["Via"] * 16,
            strict=True,
        )
    ),
    f"Via: SIP/2.0/TCP host.example.com;received=192.0.2.5;branch=very{'long' * 50}branchvalue",
    "Max-Forwards: 70",
    f"Contact: <sip:{'amazinglylongcallername' * 5}@host5.example.net>",
    "Content-Type: application/sdp",
    f"l: {len(SDP)}",
    body=SDP,
    length=False,
)

MULTIPART = (
    b"--7a9cbec02ceef655\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\n\r\nHello\r\n"
    b"--7a9cbec02ceef655\r\nContent-Type: application/octet-stream\r\n\r\n\x30\x82\x00\x00\r\n\r\n\xff\x00\r\n"
    b"--7a9cbec02ceef655--\r\n"
)

BADINV01 = message(
    "INVITE sip:user@example.com SIP/2.0",
    *usual("INVITE", "badinv01", via="SIP/2.0/UDP 192.0.2.15;;,;,,"),
    'Contact: "Joe" <sip:joe@example.org>;;;;',
)

RFC4475 = (
    Torture(name="wsinv", section="3.1.1.1", data=WSINV),
    Torture(name="intmeth", section="3.1.1.2", data=INTMETH),
    Torture(
        name="esc01",
        section="3.1.1.3",
        data=request(
            "INVITE",
            "esc01",
            "Contact: <sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>",
            uri="sip:sips%3Auser%40example.com@example.net",
            to="sip:%75se%72@example.com",
            from_="<sip:I%20have%20spaces@example.net>;tag=938",
        ),
    ),
    Torture(
        name="escnull",
        section="3.1.1.4",
        data=request(
            "REGISTER",
            "escnull",
            "Contact: <sip:%00@host5.example.com>",
            "Contact: <sip:%00%00@host5.example.com>",
            uri="sip:example.com",
            to="sip:null-%00-null@example.com",
            from_="sip:null-%00-null@example.com;tag=839923423",
        ),
    ),
    Torture(
        name="esc02",
        section="3.1.1.5",
        data=request(
            "RE%47IST%45R",
            "esc02",
            "Contact: <sip:alias1@host1.example.com>",
            "C%6Fntact: <sip:alias2@host2.example.com>",
            "Contact: <sip:alias3@host3.example.com>",
            to='"%Z%45" <sip:resource@example.com>',
            from_='"%Z%45" <sip:resource@example.com>;tag=f232jadfj23',
            via="SIP/2.0/TCP host.example.com;branch=z9hG4bK209%fzsnel234",
        ),
    ),
    Torture(
        name="lwsdisp",
        section="3.1.1.6",
        data=request("OPTIONS", "lwsdisp", from_="caller<sip:caller@example.com>;tag=323"),
    ),
    Torture(name="longreq", section="3.1.1.7", data=LONGREQ),
    Torture(
        name="dblreq",
        section="3.1.1.8",
        data=request("REGISTER", "dblreq", uri="sip:example.com") + request("INVITE", "dblreq2", body=SDP),
    ),
    Torture(
        name="semiuri",
        section="3.1.1.9",
        data=request("OPTIONS", "semiuri", uri="sip:user;par=u%40example.net@example.com"),
    ),
    Torture(
        name="transports",
        section="3.1.1.10",
        data=request(
            "OPTIONS",
            "transports",
            "Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKklasjdhf",
            "Via: SIP/2.0/TLS t3.example.com;branch=z9hG4bK2980unddj",
            "Via: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en",
            "Via: SIP/2.0/TCP t5.example.com;branch=z9hG4bK0a9idfnee",
        ),
    ),
    Torture(
        name="mpart01",
        section="3.1.1.11",
        data=request("MESSAGE", "mpart01", "Content-Type: multipart/mixed;boundary=7a9cbec02ceef655", body=MULTIPART),
    ),
    Torture(
        name="unreason",
        section="3.1.1.12",
        data=response("SIP/2.0 200 = 2**3 * 5**2 но сто девяносто девять - простое", "unreason"),
    ),
    Torture(name="noreason", section="3.1.1.13", data=response("SIP/2.0 100 ", "noreason")),
    Torture(name="badinv01", section="3.1.2.1", data=BADINV01, status=400),
    Torture(
        name="clerr",
        section="3.1.2.2",
        data=message(
            "INVITE sip:user@example.com SIP/2.0",
            *usual("INVITE", "clerr"),
            "Content-Length: 9999",
            body=SDP,
            length=False,
        ),
        status=400,
    ),
    Torture(
        name="ncl",
        section="3.1.2.3",
        data=message(
            "INVITE sip:user@example.com SIP/2.0",
            *usual("INVITE", "ncl"),
            "Content-Length: -999",
            body=SDP,
            length=False,
        ),
        status=400,
    ),
    Torture(
        name="scalar02",
        section="3.1.2.4",
        data=request(
            "REGISTER",
            "scalar02",
            "Expires: 1" + "0" * 100,
            "Contact: <sip:user@host129.example.com>",
            "  ;expires=280297596632815",
            cseq="36893488147419103232 REGISTER",
        ).replace(b"Max-Forwards: 70", b"Max-Forwards: 300"),
        status=400,
    ),
    Torture(
        name="scalarlg",
        section="3.1.2.5",
        data=response(
            "SIP/2.0 503 Service Unavailable",
            "scalarlg",
            "Retry-After: 949302838503028349304023988",
            'Warning: 1812 overture "In Progress"',
            cseq="9292394834772304023312 OPTIONS",
        ),
        status=400,
        is_answerable=False,
    ),
    Torture(
        name="quotbal",
        section="3.1.2.6",
        data=request("INVITE", "quotbal", to='"Mr. J. User <sip:j.user@example.com>'),
        status=400,
    ),
    Torture(
        name="ltgtruri", section="3.1.2.7", data=request("INVITE", "ltgtruri", uri="<sip:user@example.com>"), status=400
    ),
    Torture(
        name="lwsruri", section="3.1.2.8", data=request("INVITE", "lwsruri", uri="sip:user@example.com; lr"), status=400
    ),
    Torture(
        name="lwsstart", section="3.1.2.9", data=request("INVITE", "lwsstart", uri=" sip:user@example.com "), status=400
    ),
    Torture(
        name="trws",
        section="3.1.2.10",
        data=request("OPTIONS", "trws").replace(b" SIP/2.0\r\n", b" SIP/2.0  \r\n", 1),
        status=400,
    ),
    # "An element could choose to be liberal in what it accepts and ignore the escaped headers": that is done here.
    Torture(
        name="escruri",
        section="3.1.2.11",
        data=request("INVITE", "escruri", uri="sip:user@example.com?Route=%3Csip:example.com%3E"),
    ),
    Torture(
        name="baddate",
        section="3.1.2.12",
        data=request("INVITE", "baddate", "Date: Fri, 01 Jan 2010 16:00:00 EST"),
        lazy="date",
    ),
    Torture(
        name="regbadct",
        section="3.1.2.13",
        data=request("REGISTER", "regbadct", "Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E"),
        lazy="contacts",
    ),
    Torture(
        name="badaspec",
        section="3.1.2.14",
        data=request("OPTIONS", "badaspec", to='"Watson, Thomas" < sip:t.watson@example.org >'),
        status=400,
    ),
    Torture(
        name="baddn",
        section="3.1.2.15",
        data=request(
            "OPTIONS",
            "baddn",
            from_="Bell, Alexander <sip:a.g.bell@example.com>;tag=43",
            to="Watson, Thomas <sip:t.watson@example.org>",
        ),
        status=400,
    ),
    Torture(
        name="badvers",
        section="3.1.2.16",
        data=request("OPTIONS", "badvers", via="SIP/7.0/UDP c.example.com;branch=z9hG4bKkdjuw").replace(
            b" SIP/2.0\r\n", b" SIP/7.0\r\n", 1
        ),
        status=505,
    ),
    Torture(name="mismatch01", section="3.1.2.17", data=request("OPTIONS", "mismatch01", cseq="8 INVITE"), status=400),
    Torture(
        name="mismatch02", section="3.1.2.18", data=request("NEWMETHOD", "mismatch02", cseq="8 INVITE"), status=400
    ),
    Torture(
        name="bigcode",
        section="3.1.2.19",
        data=response("SIP/2.0 4294967301 better not break the receiver", "bigcode"),
        status=400,
        is_answerable=False,
    ),
    Torture(
        name="badbranch",
        section="3.2.1",
        data=request("OPTIONS", "badbranch", via="SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK"),
    ),
    Torture(
        name="insuf",
        section="3.3.1",
        data=message(
            "INVITE sip:user@example.com SIP/2.0",
            "CSeq: 193942 INVITE",
            "Via: SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj.insuf",
            "Content-Type: application/sdp",
            body=SDP,
        ),
        status=400,
    ),
    Torture(
        name="unkscm",
        section="3.3.2",
        data=request("OPTIONS", "unkscm", uri="nobodyKnowsThisScheme:totallyopaquecontent"),
    ),
    Torture(name="novelsc", section="3.3.3", data=request("OPTIONS", "novelsc", uri="soap.beep://192.0.2.103:3002")),
    Torture(
        name="unksm2",
        section="3.3.4",
        data=request(
            "REGISTER",
            "unksm2",
            "Contact: <name:John_Smith>",
            to="isbn:2983792873",
            from_="<http://www.example.com>;tag=3234233",
        ),
    ),
    Torture(
        name="bext01",
        section="3.3.5",
        data=request(
            "OPTIONS",
            "bext01",
            "Require: nothingSupportsThis, nothingSupportsThisEither",
            "Proxy-Require: noProxiesSupportThis, norDoAnyProxiesSupportThis",
        ),
    ),
    Torture(
        name="invut",
        section="3.3.6",
        data=request("INVITE", "invut", "Content-Type: application/unknownformat", body=b"<audio>\r\n</audio>\r\n"),
    ),
    Torture(
        name="regaut01",
        section="3.3.7",
        data=request("REGISTER", "regaut01", "Authorization: NoOneKnowsThisScheme opaque-data=here"),
    ),
    Torture(
        name="multi01",
        section="3.3.8",
        data=message(
            "INVITE sip:user@company.com SIP/2.0",
            "Via: SIP/2.0/UDP 192.0.2.25;branch=z9hG4bKkdjuw",
            "Max-Forwards: 70",
            "CSeq: 5 INVITE",
            "Call-ID: multi01.98asdh@192.0.2.1",
            "CSeq: 59 INVITE",
            "Call-ID: multi01.98asdh@192.0.2.2",
            "From: sip:caller@example.com;tag=3413415",
            "To: sip:user@example.com",
            "To: sip:other@example.net",
            "From: sip:caller@example.net;tag=2923420123",
            "Max-Forwards: 5",
        ),
        status=400,
    ),
    Torture(
        name="mcl01",
        section="3.3.9",
        data=message(
            "OPTIONS sip:user@example.com SIP/2.0",
            *usual("OPTIONS", "mcl01"),
            "Content-Length: 13",
            "Content-Length: 5",
            body=b"There is no way to know how many octets are supposed to be here.\r\n",
            length=False,
        ),
        status=400,
    ),
    Torture(
        name="bcast",
        section="3.3.10",
        data=response(
            "SIP/2.0 200 OK",
            "bcast",
            "Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23",
        ),
    ),
    Torture(
        name="zeromf",
        section="3.3.11",
        data=request("OPTIONS", "zeromf").replace(b"Max-Forwards: 70", b"Max-Forwards: 0"),
    ),
    Torture(
        name="cparam01",
        section="3.3.12",
        data=request("REGISTER", "cparam01", "Contact: sip:+19725552222@gw1.example.net;unknownparam"),
    ),
    Torture(
        name="cparam02",
        section="3.3.13",
        data=request("REGISTER", "cparam02", "Contact: <sip:+19725552222@gw1.example.net;unknownparam>"),
    ),
    Torture(
        name="regescrt",
        section="3.3.14",
        data=request("REGISTER", "regescrt", "M: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>"),
    ),
    Torture(
        name="sdp01",
        section="3.3.15",
        data=request("INVITE", "sdp01", "Accept: text/nobodyKnowsThis", "Content-Type: application/sdp", body=SDP),
    ),
    Torture(
        name="inv2543",
        section="3.4.1",
        data=message(
            "INVITE sip:UserB@example.com SIP/2.0",
            "Via: SIP/2.0/UDP iftgw.example.com",
            "From: <sip:+13035551111@ift.client.example.net;user=phone>",
            "Record-Route: <sip:UserB@example.com;maddr=ss1.example.com>",
            "To: sip:+16505552222@ss1.example.net;user=phone",
            "Call-ID: inv2543.1717@ift.client.example.com",
            "CSeq: 56 INVITE",
            "Content-Type: application/sdp",
            body=SDP,
            length=False,
        ),
    ),
)


def _ipv6(method: str, name: str, *extra: str, **other: str) -> bytes:
    other.setdefault("via", "SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111")
    other.setdefault("uri", "sip:[2001:db8::10]")
    return request(method, name, *extra, **other)  # type: ignore[arg-type]


RFC5118 = (
    Torture(
        name="ipv6-good",
        section="4.1",
        data=_ipv6("REGISTER", "ipv6-good", 'Contact: "Caller" <sip:caller@[2001:db8::1]>'),
    ),
    Torture(name="ipv6-bad", section="4.2", data=_ipv6("REGISTER", "ipv6-bad", uri="sip:2001:db8::10"), status=400),
    Torture(
        name="port-ambiguous", section="4.3", data=_ipv6("REGISTER", "port-ambiguous", uri="sip:[2001:db8::10:5070]")
    ),
    Torture(
        name="port-unambiguous",
        section="4.4",
        data=_ipv6("REGISTER", "port-unambiguous", uri="sip:[2001:db8::10]:5070"),
    ),
    Torture(
        name="via-received-param-with-delim",
        section="4.5",
        data=_ipv6(
            "BYE",
            "via-received-param-with-delim",
            via="SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-111",
        ),
    ),
    Torture(
        name="via-received-param-no-delim",
        section="4.5",
        data=_ipv6(
            "OPTIONS",
            "via-received-param-no-delim",
            via="SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3",
        ),
    ),
    Torture(
        name="ipv6-in-sdp",
        section="4.6",
        data=request(
            "INVITE",
            "ipv6-in-sdp",
            "Content-Type: application/sdp",
            uri="sip:user@[2001:db8::10]",
            body=b"v=0\r\no=- 1 0 IN IP6 2001:db8::20\r\ns=-\r\nc=IN IP6 2001:db8::20\r\nt=0 0\r\n",
        ),
    ),
    Torture(
        name="mult-ip-in-header",
        section="4.7",
        data=_ipv6(
            "BYE",
            "mult-ip-in-header",
            "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781hjuaij65144",
            "Via: SIP/2.0/TCP [2001:db8::9:255];branch=z9hG4bK451jj;received=192.0.2.200",
            via="SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3-111",
        ),
    ),
    Torture(
        name="mult-ip-in-sdp",
        section="4.8",
        data=request(
            "INVITE",
            "mult-ip-in-sdp",
            "Content-Type: application/sdp",
            uri="sip:user@[2001:db8::10]",
            body=b"v=0\r\no=- 1 0 IN IP4 host.example.com\r\ns=\r\nt=0 0\r\nm=audio 22334 RTP/AVP 0\r\n"
            b"c=IN IP4 192.0.2.1\r\nm=video 6024 RTP/AVP 107\r\nc=IN IP6 2001:db8::1\r\n",
        ),
    ),
    Torture(
        name="ipv4-mapped-ipv6",
        section="4.9",
        data=_ipv6(
            "INVITE",
            "ipv4-mapped-ipv6",
            "Via: SIP/2.0/UDP [::ffff:192.0.2.2];branch=z9hG4bKas3-111",
            'Contact: "T. desk phone" <sip:ted@[::ffff:192.0.2.2]>',
            via="SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKbh19",
        ),
    ),
    Torture(
        name="ipv6-bug-abnf-3-colons",
        section="4.10",
        data=_ipv6(
            "OPTIONS",
            "ipv6-bug-abnf-3-colons",
            uri="sip:user@[2001:db8:::192.0.2.1]",
            to="sip:user@[2001:db8:::192.0.2.1]",
        ),
    ),
    Torture(
        name="ipv6-correct-abnf-2-colons",
        section="4.10",
        data=_ipv6(
            "OPTIONS",
            "ipv6-correct-abnf-2-colons",
            uri="sip:user@[2001:db8::192.0.2.1]",
            to="sip:user@[2001:db8::192.0.2.1]",
        ),
    ),
)
