"""Plots as inline SVG: narrow, so that a phone shows them at full size; colours come from the page's style."""

import html
import math

WIDTH = 360
COLOURS = 6


def escape(text):
    return html.escape(str(text), quote=True)


def number(value, unit):
    """Three digits, with a prefix where the unit takes one."""
    if unit == "/s":
        for factor, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if value >= factor:
                return three(value / factor) + " " + prefix + unit
        return three(value) + " " + unit
    if unit == "ns":
        for factor, larger in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
            if value >= factor:
                return three(value / factor) + " " + larger
    return (three(value) + " " + unit).strip()


def three(value):
    if value == 0 or abs(value) >= 100:
        return format(round(value), ",")
    if abs(value) < 0.005:
        return "%.1g" % value
    return "%.*f" % (1 if abs(value) >= 10 else 2, value)


def text(x, y, content, size=12, anchor="start", fill="--text", more=""):
    return '<text x="%.1f" y="%.1f" font-size="%g" text-anchor="%s" style="fill:var(%s)"%s>%s</text>' % (
        x, y, size, anchor, fill, more, escape(content))


def picture(title, caption, description, height, parts):
    return ('<figure><h3>%s</h3>\n<svg viewBox="0 0 %d %d" role="img" aria-label="%s">\n<desc>%s</desc>\n%s\n</svg>\n'
            '<figcaption>%s</figcaption></figure>' % (escape(title), WIDTH, height, escape(title), escape(description),
                                                     "\n".join(parts), escape(caption)))


def bars(title, groups, caption, unit=None, log=False, one_colour=False):
    """Groups of (label, [(series, figure or value or None)]); "" if there is nothing to show."""
    kept = []
    for label, pairs in groups:
        rows = []
        for name, what in pairs:
            if what is None:
                continue
            value, its_unit = (what, unit) if isinstance(what, (int, float)) else (what.median, unit or what.unit)
            values = [] if isinstance(what, (int, float)) else what.values
            rows.append((name, value, its_unit, values))
        if rows:
            kept.append((label, rows))
    if not kept:
        return ""
    names = list(dict.fromkeys(row[0] for _, rows in kept for row in rows))
    everything = [value for _, rows in kept for row in rows for value in (row[1], *row[3])]
    most = max(everything) or 1
    least = min([value for value in everything if value > 0] or [most])
    left = min(150, max(60, 6.2 * max(map(len, names)) + 8))
    span = WIDTH - left - 68

    def length(value):
        if value <= 0:
            return 0.0
        if not log:
            return span * value / most
        floor = math.log10(least) - 0.3
        return span * max(0.01, (math.log10(value) - floor) / max(0.3, math.log10(most) - floor))

    y, parts, told = 4, [], []
    for label, rows in kept:
        y += 16
        parts.append(text(0, y, label, 12, more=' font-weight="600"'))
        y += 4
        for name, value, its_unit, values in rows:
            colour = 0 if one_colour else names.index(name) % COLOURS
            parts.append(text(left - 6, y + 11.5, name, 11.5, "end", "--dim"))
            parts.append('<rect x="%.1f" y="%.1f" width="%.1f" height="12" rx="1.5" style="fill:var(--s%d)"/>' % (
                left, y + 1, max(1.0, length(value)), colour))
            end = length(value)
            if len(values) > 2:
                low, high = length(min(values)), length(max(values))
                parts.append('<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke-width="1.5" '
                             'style="stroke:var(--text)"/>' % (left + low, left + high, y + 7, y + 7))
                end = max(end, high)
            parts.append(text(left + end + 5, y + 11.5, number(value, its_unit), 11.5))
            told.append("%s, %s: %s" % (label, name, number(value, its_unit)))
            y += 16
        y += 4
    return picture(title, caption, "; ".join(told), y + 4, parts)


def lines(title, series, caption, x_name, x_text):
    """Series of name to [(x, items per second)], both axes logarithmic; "" if there is nothing to show."""
    series = {name: sorted((x, y) for x, y in points if y > 0) for name, points in series.items()}
    series = {name: points for name, points in series.items() if points}
    if not series:
        return ""
    left, right, top, bottom, height = 52, 12, 10, 44, 270
    xs = sorted({x for points in series.values() for x, _ in points})
    ys = [y for points in series.values() for _, y in points]
    low, high = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)))
    high = max(high, low + 1)
    first, last = math.log2(max(xs[0], 0.5)), math.log2(max(xs[-1], 1))
    last = max(last, first + 1)

    def at(x, y):
        return (left + (math.log2(max(x, 0.5)) - first) / (last - first) * (WIDTH - left - right),
                top + (high - math.log10(y)) / (high - low) * (height - top - bottom))

    parts, told = [], []
    for decade in range(low, high + 1):
        _, y = at(1, 10**decade)
        parts.append('<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" style="stroke:var(--line)"/>' % (
            left, WIDTH - right, y, y))
        prefix = {1: "k", 2: "M", 3: "G"}.get(decade // 3, "")
        parts.append(text(left - 6, y + 4, "%d %s/s" % (10 ** (decade % 3), prefix), 11, "end", "--dim"))
    taken = -100.0
    for x in xs:
        place, _ = at(x, 10**low)
        label = x_text(x)
        if place - taken >= 6.5 * len(label) + 4:
            anchor = "end" if place + 3.3 * len(label) > WIDTH else "middle"
            parts.append(text(place if anchor == "middle" else WIDTH, height - bottom + 16, label, 11, anchor, "--dim"))
            taken = place
    ends = []
    for index, (name, points) in enumerate(series.items()):
        colour = index % COLOURS
        dash = ("", "6 3", "2 3", "8 3 2 3", "1 4", "12 4")[colour]
        path = " ".join("%.1f,%.1f" % at(x, y) for x, y in points)
        parts.append('<polyline points="%s" fill="none" stroke-width="2" stroke-dasharray="%s" '
                     'style="stroke:var(--s%d)"/>' % (path, dash, colour))
        for x, y in points:
            parts.append('<circle cx="%.1f" cy="%.1f" r="2.8" style="fill:var(--s%d)"/>' % (*at(x, y), colour))
            told.append("%s at %s %s: %s" % (name, x_text(x), x_name, number(y, "/s")))
        ends.append((name, colour))
    x = left
    for name, colour in ends:
        parts.append('<circle cx="%.1f" cy="%.1f" r="4" style="fill:var(--s%d)"/>' % (x + 4, height - 9, colour))
        parts.append(text(x + 12, height - 5, name, 11.5))
        x += 24 + 6.6 * len(name)
    return picture(title, caption, "; ".join(told), height, parts)
