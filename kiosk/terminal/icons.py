"""The pictures on the screen as inline SVG: nothing is fetched, everything takes the colour of its text."""

from __future__ import annotations

_OPEN = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" '
    'stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">'
)

_PATHS = {
    "in": '<path d="M14 4h4a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2h-4"/><path d="M3 12h12"/><path d="m10 7 5 5-5 5"/>',
    "out": '<path d="M10 4H6a2 2 0 0 0-2 2v12a2 2 0 0 0 2 2h4"/><path d="M9 12h12"/><path d="m16 7 5 5-5 5"/>',
    "face": '<path d="M4 8V6a2 2 0 0 1 2-2h2M16 4h2a2 2 0 0 1 2 2v2M20 16v2a2 2 0 0 1-2 2h-2M8 '
    '20H6a2 2 0 0 1-2-2v-2"/>'
    '<path d="M9 10v.5M15 10v.5M12 10v3M9 15.5c1.7 1.3 4.3 1.3 6 0"/>',
    "badge": '<rect x="3" y="6" width="18" height="13" rx="2"/><path d="M10 3h4v4h-4z"/><circle '
    'cx="8.500" cy="12" r="1.700"/>'
    '<path d="M5.800 16.500c.4-1.500 5-1.500 5.400 0M14.500 11.500h3.500M14.500 15h3.500"/>',
    "erase": '<path d="M21 5H9l-6 7 6 7h12a1 1 0 0 0 1-1V6a1 1 0 0 0-1-1z"/><path d="m12 9.500 5 5m0-5-5 5"/>',
    "next": '<path d="M4 12h15"/><path d="m13 6 6 6-6 6"/>',
    "passed": '<path d="m4.500 12.500 5 5 10-11"/>',
    "review": '<path d="M12 5v9"/><path d="M12 18.500v.2"/>',
    "refused": '<path d="m6 6 12 12M18 6 6 18"/>',
    "warning": '<path d="M12 3.500 22 20.500H2z"/><path d="M12 10v5M12 17.700v.1"/>',
    "online": '<path d="M2.500 9.500a14 14 0 0 1 19 0M6 13a9 9 0 0 1 12 0M9.300 16.300a4.200 4.200 0 0 1 5.400 0"/>'
    '<path d="M12 19.700v.1"/>',
    "offline": '<path d="M2.500 9.500a14 14 0 0 1 5-3.200M12 5.800a14 14 0 0 1 9.500 3.700M6 13a9 9 '
    "0 0 1 4-2.200M15 11.300a9 9 0 0 1 3 1.700"
    'M9.300 16.300a4.200 4.200 0 0 1 5.400 0"/><path d="M12 19.700v.1"/><path d="m3 3 18 18"/>',
    "left": '<path d="m14.500 4-8 8 8 8"/>',
    "right": '<path d="m9.500 4 8 8-8 8"/>',
    "up": '<path d="m4 14.500 8-8 8 8"/>',
    "eye": '<path d="M2 12s3.600-6.500 10-6.500S22 12 22 12s-3.600 6.500-10 6.500S2 12 2 '
    '12z"/><circle cx="12" cy="12" r="3"/>',
    "closer": '<path d="M9 3H3v6M15 3h6v6M9 21H3v-6M15 21h6v-6"/><path d="M3 3l6 6M21 3l-6 6M3 21l6-6M21 21l-6-6"/>',
    "phone": '<path d="M5 3h4l2 5-2.500 1.700a12 12 0 0 0 5.800 5.800L16 13l5 2v4a2 2 0 0 1-2.200 '
    '2A17 17 0 0 1 3 5.200 2 2 0 0 1 5 3z"/>',
    "again": '<path d="M4 12a8 8 0 0 1 13.700-5.600L20 8.500"/><path d="M20 3.500v5h-5"/>'
    '<path d="M20 12a8 8 0 0 1-13.700 5.600L4 15.500"/><path d="M4 20.500v-5h5"/>',
    "person": '<circle cx="12" cy="8" r="4.500"/><path d="M4 21c.8-8 15.200-8 16 0"/>',
    "supervisor": '<circle cx="9" cy="8" r="3.800"/><path d="M2 20c.6-7 13.400-7 14 0"/>'
    '<path d="m16 12.500 2 2 4-4.500"/>',
    "clock": '<circle cx="12" cy="12" r="9"/><path d="M12 7v5l3.500 2"/>',
    "camera": '<rect x="2" y="6" width="14" height="12" rx="2"/><path d="m16 10.500 6-3.500v10l-6-3.500"/>',
}


def icon(name: str) -> str:
    """Return the SVG called `name`. Raises KeyError."""
    return f"{_OPEN}{_PATHS[name]}</svg>"
