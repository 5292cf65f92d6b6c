"""Which addresses are on the public internet; nothing else may be reached on a tenant's word.

Source: IANA, special-purpose address registries of IPv4 and IPv6. Said here and not left to `ipaddress.is_global`,
whose answers change between patch releases of Python.
"""

from ipaddress import IPv4Network, IPv6Network, ip_address

_NOT_PUBLIC_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # behind a carrier's NAT
            "127.0.0.0/8",  # this machine
            "169.254.0.0/16",  # link-local, and the cloud's metadata
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)

#: Everything of IPv6 that is public lies here: neither loopback nor private, link-local, mapped IPv4 or NAT64 does.
_GLOBAL_UNICAST = IPv6Network("2000::/3")

_NOT_PUBLIC_6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments, Teredo among them
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4, which holds an IPv4 address
            "3fff::/20",  # documentation
        ),
    )
)


def is_public(address: str) -> bool:
    """Whether this is the address of a host on the public internet. Raises ValueError for what is no address."""
    found = ip_address(address)
    if found.version == 4:
        return not any(found in network for network in _NOT_PUBLIC_4)
    return found in _GLOBAL_UNICAST and not any(found in network for network in _NOT_PUBLIC_6)


def is_loopback(address: str) -> bool:
    return ip_address(address).is_loopback
