"""Speaks to python-dbusmock's BlueZ, for the test next to it: commands on standard input, one answer each.

    adapter hci0                               an adapter that can advertise
    device hci0 C0:00:00:00:00:01 -47 FFFF 0102   a device is heard for the first time
    heard hci0 C0:00:00:00:00:01 -47 FFFF 0102    and again
    advertised                                 what the bench advertises
    called hci0                                methods that were called on the adapter
"""

import sys

import dbus

bus = dbus.bus.BusConnection(sys.argv[1])


def mock(path, interface="org.freedesktop.DBus.Mock"):
    return dbus.Interface(bus.get_object("org.bluez", path), interface)


def data(company, hexadecimal):
    content = dbus.Array(bytes.fromhex(hexadecimal), signature="y", variant_level=1)
    return dbus.Dictionary({dbus.UInt16(int(company, 16)): content}, signature="qv", variant_level=1)


def path_of(adapter, address):
    return f"/org/bluez/{adapter}/dev_{address.replace(':', '_')}"


def adapter(name):
    path = mock("/org/bluez", "org.bluez.Mock").AddAdapter(name, "bench")
    mock(path).AddMethods(
        "org.bluez.LEAdvertisingManager1",
        [("RegisterAdvertisement", "oa{sv}", "", ""), ("UnregisterAdvertisement", "o", "", "")],
    )
    return path


def device(name, address, rssi, company, content):
    mock("/org/bluez", "org.bluez.Mock").AddDevice(name, address, "module")
    return heard(name, address, rssi, company, content)


def heard(name, address, rssi, company, content):
    # One after the other: the mock's call for several properties knows no dictionaries.
    of = mock(path_of(name, address), dbus.PROPERTIES_IFACE)
    of.Set("org.bluez.Device1", "RSSI", dbus.Int16(int(rssi), variant_level=1))
    of.Set("org.bluez.Device1", "ManufacturerData", data(company, content))
    return "ok"


def calls(name):
    return [(str(method), args) for _, method, args in mock(f"/org/bluez/{name}").GetCalls()]


def advertised():
    registered = [str(args[0]) for method, args in calls("hci0") if method == "RegisterAdvertisement"]
    ended = [str(args[0]) for method, args in calls("hci0") if method == "UnregisterAdvertisement"]
    paths = [path for path in registered if path not in ended]
    adverts = []
    for path in paths:
        for name in bus.list_names():
            if not name.startswith(":") or name == bus.get_unique_name():
                continue
            try:
                owner = dbus.Interface(bus.get_object(name, path, introspect=False), dbus.PROPERTIES_IFACE)
                found = owner.GetAll("org.bluez.LEAdvertisement1", timeout=2)
            except dbus.DBusException:
                continue
            companies = [f"{int(c):04X} {bytes(d).hex()}" for c, d in found["ManufacturerData"].items()]
            adverts.append(f"{found['Type']} {int(found['MinInterval'])} ms {' '.join(companies)}")
    return "; ".join(adverts) or "nothing"


def called(name):
    return " ".join(method for method, _ in calls(name))


COMMANDS = {function.__name__: function for function in (adapter, device, heard, advertised, called)}
for line in sys.stdin:
    command, *arguments = line.split()
    try:
        print(COMMANDS[command](*arguments), flush=True)
    except dbus.DBusException as error:
        print("error", " / ".join(str(error).split("\n")), flush=True)
