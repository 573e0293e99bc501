"""Does to the bench what no step should do: for `hostile.rs`. The argument chooses what. No run with it may pass."""

import os
import random
import subprocess
import sys
import time

number = int(sys.argv[1])
chance = random.Random(number)
out = sys.stdout.buffer


def say(text):
    out.write(text.encode() + b"\n")
    out.flush()


def ask(id, body):
    say('{"id":%s,%s}' % (id, body))
    return sys.stdin.readline()


def deliver(id):
    """What a good program would do: the step would pass."""
    ask(id, '"measured":"answer","value":1.0')


def hang():
    while True:
        time.sleep(1000)


def shell(script, **more):
    return subprocess.Popen(["sh", "-c", script], **more)


def flood(to, piece):
    for _ in range((100 << 20) // len(piece)):
        to.write(piece)
    to.flush()


RAIL_ON = '"rail":"3V3","on":true'


def random_bytes():
    out.write(chance.randbytes(chance.randint(1, 5000)))
    out.flush()


def half_line():
    out.write(b'{"id":1,"measured":"ans')
    out.flush()


def long_line():
    flood(out, b"a" * 65536)


def many_lines():
    flood(out, b'{"id":1,"time":true}\n')


def stops_itself():
    os.kill(os.getpid(), 19)
    deliver(1)
    hang()


def leaves_a_daemon():
    shell("setsid sh -c 'sleep 1000 & sleep 1000' >/dev/null 2>&1 &").wait()
    deliver(1)


def leaves_an_open_pipe():
    deliver(1)
    shell("exec sleep 1000", stdin=subprocess.DEVNULL)


def closes_its_pipes():
    os.close(0)
    os.close(1)
    hang()


def wrong_ids():
    for id in ["1", "1", "-1", "0.5", '"2"', "99999999999999999999999", "null"]:
        ask(id, '"time":true')
    deliver(2)


def not_a_number():
    ask(1, '"measured":"answer","value":NaN')


def undeclared_rail():
    ask(1, '"rail":"VCC","on":true')
    deliver(2)


def undeclared_nail():
    ask(1, '"drive":"D4","high":true')
    deliver(2)


def floods_its_log():
    flood(sys.stderr.buffer, b"e" * 65536)
    deliver(1)


def ends_with_a_code():
    deliver(1)
    sys.exit(chance.randint(1, 255))


def aborts():
    deliver(1)
    os.abort()


def deep_json():
    say("[" * 500_000)


def no_request():
    say(chance.choice(["[]", "1", "null", '"id"', "{}", '{"id":{}}', ""]))


def other_name():
    ask(1, '"measured":"anwser","value":1.0')


def hangs_with_power():
    ask(1, RAIL_ON)
    hang()


def aborts_with_power():
    ask(1, RAIL_ON)
    os.abort()


def waits_too_long():
    ask(1, RAIL_ON)
    ask(2, '"wait":"600 s"')
    deliver(3)


def many_processes():
    for _ in range(30):
        shell("trap '' TERM HUP INT; setsid sleep 1000 >/dev/null 2>&1 & exec setsid sleep 1000")
    deliver(1)


def does_not_listen():
    for id in range(1, 900):
        say('{"id":%d,"measure":"volts","rail":"3V3"}' % id)


def long_pin():
    ask(1, '"measure":"volts","at":"%s"' % ("A" * 900_000))


def ignores_signals():
    shell("trap '' TERM HUP INT QUIT; while :; do sleep 1; done")
    hang()


def infinite():
    ask(1, '"measured":"answer","value":1e999')


def other_files():
    ask(1, '"attach":"../../escape","path":"/etc/passwd"')
    ask(2, '"attach":"journal.jsonl","path":"/dev/zero"')


def no_reading():
    ask(1, '"measured":"answer","value":null')


def two_in_one_line():
    say('{"id":1,"time":true}{"id":2,"time":true}')
    hang()


def double_fork():
    """In two forks, in a session of its own, without the bench's variables."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execve("/bin/sh", ["sh", "-c", "exec >/dev/null 2>&1 </dev/null; sleep 1000; sleep 1000"], {})
        os._exit(0)
    deliver(1)
    hang()


KINDS = [
    random_bytes,
    half_line,
    long_line,
    many_lines,
    stops_itself,
    leaves_a_daemon,
    leaves_an_open_pipe,
    closes_its_pipes,
    wrong_ids,
    not_a_number,
    undeclared_rail,
    undeclared_nail,
    floods_its_log,
    ends_with_a_code,
    aborts,
    deep_json,
    no_request,
    other_name,
    hangs_with_power,
    aborts_with_power,
    waits_too_long,
    many_processes,
    does_not_listen,
    long_pin,
    ignores_signals,
    infinite,
    other_files,
    no_reading,
    two_in_one_line,
    double_fork,
]

if chance.random() < 0.75:
    sys.stdin.readline()
KINDS[number % len(KINDS)]()
