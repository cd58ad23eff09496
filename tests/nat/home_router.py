#!/usr/bin/env python3
"""home_router.py JSON: plays a home router, good or hostile, on the machine whose address is GATEWAY.

UPnP: answers searches (SSDP) on 239.255.255.250:1900, its description by HTTP, and SOAP. NAT-PMP: UDP port 5351.
Prints a JSON line per request, before its answer goes out, and ends with its standard input; then it prints the table
of mappings. JSON, all optional:

  igd          false: no UPnP                          location      where the answer to a search points
  url_base     in the description                      control       the control URL there
  description  good | garbage | huge | trickle         flood         answers to a search never end: good | garbage
  add          outcomes of AddPortMapping, one each: 0 or a UPnP error, "garbage", "trickle"; then 0
  delete       the same for DeletePortMapping
  connected    false: the router says that it has no way out
  natpmp       false: nobody there; else what differs in an answer: result, lifetime, external, size
"""
import json
import socket
import struct
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GATEWAY = "192.168.77.1"
HTTP_PORT = 5000
SERVICE = "urn:schemas-upnp-org:service:WANIPConnection:1"
HUGE_BYTES = 32 * 1024 * 1024

options = json.loads(sys.argv[1])
table = {}  # external port -> internal port, client, seconds
ended = threading.Event()
printing = threading.Lock()


def say(event, **fields):
    with printing:
        print(json.dumps({"event": event, **fields}), flush=True)


def description():
    base = f"<URLBase>{options['url_base']}</URLBase>" if "url_base" in options else ""
    return f"""<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0">{base}
 <device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType><deviceList>
  <device><deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType>
   <serviceList><service><serviceType>urn:schemas-upnp-org:service:WANCommonInterfaceConfig:1</serviceType>
    <controlURL>{options.get("control", "/control")}</controlURL></service></serviceList><deviceList>
   <device><deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType>
    <serviceList><service><serviceType>{SERVICE}</serviceType>
     <controlURL>{options.get("control", "/control")}</controlURL></service></serviceList></device>
  </deviceList></device></deviceList></device>
</root>""".encode()


def envelope(body):
    return ('<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
            f"{body}</s:Body></s:Envelope>").encode()


def fault(code):
    return envelope('<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>'
                    f'<UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>{code}</errorCode>'
                    "<errorDescription>no</errorDescription></UPnPError></detail></s:Fault>")


def result(action, fields):
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
    return envelope(f'<u:{action}Response xmlns:u="{SERVICE}">{inner}</u:{action}Response>')


def argument(text, name):
    """Enough of XML for requests that libminiupnpc writes."""
    return text.split(f"<{name}>", 1)[1].split("<", 1)[0] if f"<{name}>" in text else ""


def outcome(name):
    left = options.get(name, [])
    return left.pop(0) if left else 0


def on_action(action, text):
    """A SOAP answer, or "garbage" or "trickle"."""
    external = argument(text, "NewExternalPort")
    if action == "AddPortMapping":
        entry = {"internal": argument(text, "NewInternalPort"), "client": argument(text, "NewInternalClient"),
                 "protocol": argument(text, "NewProtocol"), "seconds": argument(text, "NewLeaseDuration")}
        say("add", external=external, **entry)
        how = outcome("add")
        if how == 0:
            table[external] = entry
    elif action == "DeletePortMapping":
        say("delete", external=external, protocol=argument(text, "NewProtocol"))
        how = outcome("delete")
        if how == 0:
            how = 0 if table.pop(external, None) else 714  # NoSuchEntryInArray
    elif action == "GetStatusInfo":
        state = "Connected" if options.get("connected", True) else "Disconnected"
        return result(action, {"NewConnectionStatus": state, "NewLastConnectionError": "ERROR_NONE", "NewUptime": 9})
    else:
        say("action", name=action)
        how = 401  # Invalid Action
    return how if isinstance(how, str) else fault(how) if how else result(action, {})


class Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, body, status=200):
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def hostile(self, how):
        if how == "garbage":
            return self.answer(b"<s:Envelope><<<&&&\0\xff </a></b>" * 1000)
        if how == "huge":
            return self.answer(b"<a>" * (HUGE_BYTES // 3))
        self.send_response(200)  # trickle: no end, and never silent long enough to be given up
        self.end_headers()
        while not ended.wait(0.2):
            self.wfile.write(b"<a> ")
        return None

    def handle(self):
        here = self.connection.getsockname()[0]
        if here != GATEWAY:
            say("elsewhere", at=here)
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError):
            say("hung_up")

    def do_GET(self):
        say("description")
        how = options.get("description", "good")
        return self.answer(description()) if how == "good" else self.hostile(how)

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        answer = on_action(self.headers["SOAPAction"].strip('"').split("#")[1], text)
        if isinstance(answer, str):
            return self.hostile(answer)
        return self.answer(answer, 500 if b"<s:Fault>" in answer else 200)


def serve_searches(sock):
    number = 0
    while True:
        text, who = sock.recvfrom(2048)
        if b"InternetGatewayDevice:1" not in text or b"M-SEARCH" not in text:
            continue
        say("search")
        while True:
            if options.get("flood") == "garbage":
                sock.sendto(b"HTTP/1.1 200 OK\r\n" * 20, who)
                if ended.wait(0.2):
                    return
                continue
            location = options.get("location", f"http://{GATEWAY}:{HTTP_PORT}/root.xml")
            if options.get("flood"):
                location += f"?{number}"
            sock.sendto(f"HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nEXT:\r\nLOCATION: {location}\r\n"
                        "SERVER: home\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
                        f"USN: uuid:{number}::urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n\r\n".encode(), who)
            number += 1
            if not options.get("flood") or ended.wait(0.2):
                break


def serve_natpmp(sock, differs):
    while True:
        request, who = sock.recvfrom(64)
        if len(request) != 12:
            continue
        version, opcode, _, internal, external, seconds = struct.unpack("!BBHHHI", request)
        say("natpmp", version=version, opcode=opcode, internal=internal, external=external, seconds=seconds)
        if seconds and not differs.get("result"):
            external = differs.get("external", external)
            table[f"natpmp {external}"] = {"internal": internal, "client": who[0], "seconds": seconds}
        elif not seconds:
            for key in [key for key, entry in table.items() if key.startswith("natpmp") and entry["internal"] == internal]:
                del table[key]
        answer = struct.pack("!BBHIHHI", 0, 128 + opcode, differs.get("result", 0), 1, internal,
                             external if seconds else 0, differs.get("lifetime", seconds) if seconds else 0)
        sock.sendto(answer[:differs.get("size", len(answer))], who)


def udp(address, port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    return sock


def start(function, *arguments):
    threading.Thread(target=function, args=arguments, daemon=True).start()


def main():
    if options.get("igd", True):
        searches = udp("", 1900)
        searches.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                            socket.inet_aton("239.255.255.250") + socket.inet_aton(GATEWAY))
        server = ThreadingHTTPServer(("", HTTP_PORT), Http)
        start(serve_searches, searches)
        start(server.serve_forever)
    if options.get("natpmp", False) is not False:
        start(serve_natpmp, udp(GATEWAY, 5351), options["natpmp"])
    say("ready")
    sys.stdin.read()
    ended.set()
    say("table", entries=table)


if __name__ == "__main__":
    main()
