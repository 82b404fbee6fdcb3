# SPDX-License-Identifier: Apache-2.0
"""grpc_talk.py serve|ask PORT [FIRST LAST]: both sides of calls of every kind, on gRPC's own C core. Messages
are bytes. Who asks prints, as JSON, what the library itself said of each call; with FIRST and LAST, it asks
that many, waits for a line on its input, and goes on over the same connection."""

import json
import sys
import time
from concurrent import futures

import grpc


class Echo(grpc.GenericRpcHandler):
    def service(self, call):
        kinds = {
            "Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "Failing": grpc.unary_unary_rpc_method_handler(self.failing),
            "Slow": grpc.unary_unary_rpc_method_handler(self.slow),
            "Repeat": grpc.unary_stream_rpc_method_handler(self.repeat),
            "Collect": grpc.stream_unary_rpc_method_handler(self.collect),
            "Chat": grpc.stream_stream_rpc_method_handler(self.chat),
        }
        service, _, method = call.method.rpartition("/")
        return kinds.get(method) if service == "/trivet.test.Echo" else None

    @staticmethod
    def unary(request, context):
        return request

    @staticmethod
    def failing(request, context):
        code = next(code for code in grpc.StatusCode if code.value[0] == request[0])
        context.abort(code, f"code {request[0]}: caf\u00e9")

    @staticmethod
    def slow(request, context):
        time.sleep(5)
        return request

    @staticmethod
    def repeat(request, context):
        for i in range(request[0]):
            yield bytes(100 * i)

    @staticmethod
    def collect(requests, context):
        return bytes(sum(len(request) for request in requests))

    @staticmethod
    def chat(requests, context):
        yield from requests


def serve(port):
    server = grpc.server(futures.ThreadPoolExecutor(8), handlers=(Echo(),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


def main():
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    channel = grpc.insecure_channel(f"127.0.0.1:{sys.argv[2]}")
    grpc.channel_ready_future(channel).result(timeout=30)
    said = []

    def told(method, call, sent, received):
        said.append({"method": method, "code": call.code().value[0], "details": call.details(),
                     "sent": [len(m) for m in sent], "received": [len(m) for m in received]})

    def unary(method, message, **options):
        try:
            answer, call = channel.unary_unary(f"/trivet.test.Echo/{method}").with_call(message, **options)
            told(method, call, [message], [answer])
        except grpc.RpcError as error:
            told(method, error, [message], [])

    if len(sys.argv) > 3:
        for i in range(int(sys.argv[3])):
            unary("Unary", bytes(i))
        print("ready", flush=True)
        sys.stdin.readline()
        for i in range(int(sys.argv[3]), int(sys.argv[4])):
            unary("Unary", bytes(i))
    else:
        for i in range(50):
            unary("Unary", bytes(i * 1000))
        unary("Unary", b"z" * 5000, compression=grpc.Compression.Gzip)
        for code in range(1, 17):
            unary("Failing", bytes([code]))
        unary("Missing", b"x")
        unary("Slow", b"x", timeout=0.3)
        answers = channel.unary_stream("/trivet.test.Echo/Repeat")(bytes([7]))
        told("Repeat", answers, [b"\7"], list(answers))
        parts = [bytes(n) for n in range(20)]
        answer, call = channel.stream_unary("/trivet.test.Echo/Collect").with_call(iter(parts))
        told("Collect", call, parts, [answer])
        answers = channel.stream_stream("/trivet.test.Echo/Chat")(iter(parts))
        told("Chat", answers, parts, list(answers))
    channel.close()
    print(json.dumps(said))


main()
