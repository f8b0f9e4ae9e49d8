# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# Functions that read JSON objects of one line, as the script prints them, for retention.awk, trend.awk and metrics.awk. A
# member that is not the first follows a comma, and within a string each quotation mark has a backslash before it.
#
# Must run unchanged under mawk, gawk and busybox awk.

# The text of a member that is a string of at most 99 characters without escapes, or "".
function text_of(line, member,    at) {
    at = index(line, ",\"" member "\":\"")
    if (!at) return ""
    line = substr(line, at + length(member) + 5, 100)
    return substr(line, 1, index(line, "\"") - 1)
}

# The number of a member that is a whole number, or "".
function whole_number_of(line, member,    at) {
    at = index(line, ",\"" member "\":")
    if (!at) return ""
    line = substr(line, at + length(member) + 4, 25)
    return match(line, /^[0-9]+[,}]/) ? substr(line, 1, RLENGTH - 1) : ""
}

# Reads the strings of a list, which is the inside of an array, with their escapes; returns their number.
function read_strings(list, strings,    parts, number_of_parts, k, n, text) {
    split("", strings)
    number_of_parts = split(list, parts, "\"")
    for (k = 2; k <= number_of_parts; k += 2) {
        text = parts[k]
        # A quotation mark after an odd number of backslashes belongs to the string.
        while (match(parts[k], /\\*$/) && RLENGTH % 2) text = text "\"" parts[++k]
        strings[++n] = text
    }
    return n + 0
}
