# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# Prints the metrics of an installation in Prometheus' text format (docs/monitoring.md has a table of them).
#
# Input: the lines of the types backup, copies, history and trend, in this order, that `backup.sh list --history` prints. Variables: labels (those of
# every series, as they are in the file), now (seconds since 1970), interval (seconds of the schedule, or nothing), size_bytes
# and free_bytes (of the volume). POSTGRES_BACKUP_COPY_LOCATIONS of the environment has a line for each place of the copies: its
# name and its location as JSON. Without it, the records of all places count.
#
# At most 30 series, whatever the number of databases: 22 without those of databases.
#
# It needs json.awk and calendar.awk. Must run unchanged under mawk, gawk and busybox awk.

BEGIN {
    MOST_DATABASES = 8
    DAY = 86400
    read_locations()
    PROVEN = "\"state\":\"(complete|incomplete)\",\"future\":false,"
}

/^[{]"type":"backup",/ { read_backup() }
/^[{]"type":"copies",/ { if (copy != "" && index($0, copy) && is_configured()) copies++ }
/^[{]"type":"history","operation":"run",/ { last_run = $0 }
/^[{]"type":"history","operation":"drill",/ { last_drill = $0; if (text_of($0, "state") == "succeeded") proof = $0 }
/^[{]"type":"trend",/ { trend = $0 }

END {
    state = "complete incomplete unchecked damaged"
    number_of_states = split(state, states, " ")

    begin("last_run_timestamp_seconds", "When the last run ended.")
    put("", epoch_of(text_of(last_run, "finished")))
    begin("last_run_state", "1 for the state of the last run: succeeded or failed.")
    if (last_run != "") put("state=\"" label(text_of(last_run, "state")) "\"", 1)
    begin("last_run_duration_seconds", "The duration of the last run.")
    put("", whole_number_of(last_run, "seconds"))
    begin("consecutive_failures", "How many Jobs have failed since the last run that succeeded.")
    put("", whole_number_of(trend, "consecutive_failures"))
    begin("schedule_interval_seconds", "The longest time between two runs by the schedule.")
    put("", interval)
    begin("worst_gap_seconds", "The longest time between two runs that made a complete backup, or since the last one, in 30 days.")
    put("", whole_number_of(trend, "seconds"))

    begin("newest_timestamp_seconds", "When the run of the newest complete backup started.")
    put("", newest)
    begin("newest_size_bytes", "The size of the newest complete backup.")
    put("", newest_size)
    begin("backups", "How many backups of each state are on the volume.")
    for (i = 1; i <= number_of_states; i++) put("state=\"" states[i] "\"", backups[states[i]] + 0)
    begin("copies", "At how many places beyond the volume the newest complete backup that is a day old is proven.")
    put("", copies + 0)
    print_databases()

    begin("last_drill_timestamp_seconds", "When the last scheduled restore drill ended.")
    put("", epoch_of(text_of(last_drill, "finished")))
    begin("last_drill_state", "1 for the state of the last scheduled restore drill: succeeded or failed.")
    if (last_drill != "") put("state=\"" label(text_of(last_drill, "state")) "\"", 1)
    begin("restore_seconds", "How long the last restore drill that succeeded took.")
    put("", whole_number_of(proof, "seconds"))
    begin("restore_rows", "How many rows the last restore drill that succeeded has counted.")
    put("", whole_number_of(proof, "rows"))

    begin("volume_size_bytes", "The size of the volume.")
    put("", size_bytes)
    begin("volume_free_bytes", "The free space on the volume after the last run.")
    put("", free_bytes)
    begin("volume_full_timestamp_seconds", "When the volume will be full if it fills as before; +Inf if it does not fill.")
    put("", full_time())
    print "# EOF"
}

function read_locations(    lines, n, i, at) {
    n = split(ENVIRON["POSTGRES_BACKUP_COPY_LOCATIONS"], lines, "\n")
    for (i = 1; i <= n; i++) {
        at = index(lines[i], " ")
        location[substr(lines[i], 1, at - 1)] = substr(lines[i], at + 1)
        number_of_places++
    }
}

# Whether the record is of a place that is configured, and of the location that it has now: what lies at another one is not a
# copy at this place. A record of an earlier version has no location.
function is_configured(    place) {
    place = text_of($0, "place")
    return !number_of_places || (place in location && (!index($0, ",\"location\":") || index($0, ",\"location\":" location[place] ",")))
}

# Backups are listed from the newest one on.
function read_backup(    at, lists) {
    backups[text_of($0, "state")]++
    if ($0 !~ PROVEN) return
    if (newest == "" && text_of($0, "state") == "complete") {
        newest = epoch_of(text_of($0, "created"))
        newest_size = whole_number_of($0, "size_bytes")
    }
    # The one of the last run cannot have been copied yet.
    if (copy == "" && text_of($0, "state") == "complete" && epoch_of(text_of($0, "created")) <= now - DAY)
        copy = "\"backup\":\"" text_of($0, "name") "\",\"sha256\":\"" text_of($0, "sha256") "\","
    # "dumped":[…],"missing":[…],"left_out":… are the last members.
    at = index($0, ",\"manifest\":true,\"dumped\":[")
    if (!at) return
    lists = substr($0, at + 27)
    at = index(lists, "],\"missing\":[")
    if (!number_of_databases) {
        add_databases(substr(lists, 1, at - 1), epoch_of(text_of($0, "created")))
        lists = substr(lists, at + 13)
        missing = add_databases(substr(lists, 1, index(lists, "],\"left_out\":") - 1), 0)
        left = missing
    } else if (left > 0 && (lists = substr(lists, 1, at - 1)) != last_list) {
        # Most backups contain the same databases.
        last_list = lists
        find_missing(lists, epoch_of(text_of($0, "created")))
    }
}

# Adds the databases of a JSON list with the time of the newest backup that contains them; returns their number.
function add_databases(list, time,    names, n, i) {
    n = read_strings(list, names)
    for (i = 1; i <= n; i++) {
        database[++number_of_databases] = names[i]
        newest_with[number_of_databases] = time
    }
    return n
}

# Sets the times of missing databases that the list has.
function find_missing(list, time,    names, n, i, contained) {
    n = read_strings(list, names)
    for (i = 1; i <= n; i++) contained[names[i]] = 1
    for (i = number_of_databases - missing + 1; i <= number_of_databases; i++)
        if (!newest_with[i] && database[i] in contained) { newest_with[i] = time; left-- }
}

# The databases that the newest backup should contain: those that are missing in it first, the oldest first. Names that differ
# only in characters that cannot be printed become one series with the oldest time, since two equal series make all of the file
# invalid.
function print_databases(    i, k, n, text, names, times, order) {
    if (!number_of_databases) return
    for (i = number_of_databases; i >= 1; i--) {
        text = label(database[i])
        if (text in times) { if (newest_with[i] < times[text]) times[text] = newest_with[i]; continue }
        times[text] = newest_with[i]
        names[++n] = text
    }
    # The insertion of the first few is enough.
    begin("database_newest_timestamp_seconds", "When the run of the newest backup with this database started; 0 if there is none. At most " \
        MOST_DATABASES " databases, the oldest ones.")
    for (k = 1; k <= MOST_DATABASES && k <= n; k++) {
        for (i = k + 1; i <= n; i++)
            if (times[names[i]] < times[names[k]]) { text = names[i]; names[i] = names[k]; names[k] = text }
        put("database=\"" names[k] "\"", times[names[k]])
    }
    begin("databases", "How many databases the newest backup should contain.")
    put("", number_of_databases)
    begin("databases_missing", "How many of them it does not contain, since they could not be dumped.")
    put("", missing + 0)
}

function full_time(    days) {
    if (trend !~ /"growth":[{]/) return ""
    if (!match(trend, /"days_until_full":[0-9.]+/)) return "+Inf"
    days = substr(trend, RSTART + 18, RLENGTH - 18)
    return now + days * 86400
}

# The name and the explanation of the next series.
function begin(name, help) { metric = "postgres_backup_" name; explanation = help }

# Prints a series if its value is known.
function put(own_labels, value) {
    if (value == "") return
    if (explanation != "") {
        printf "# HELP %s %s\n# TYPE %s gauge\n", metric, explanation, metric
        explanation = ""
    }
    printf "%s{%s%s} %s\n", metric, labels, (own_labels == "" ? "" : "," own_labels), (value == "+Inf" ? value : sprintf("%.0f", value))
}

# The value of a label for a JSON string, which is ASCII: its characters in UTF-8, with the escapes of the text format. What
# cannot be printed becomes a question mark.
function label(text,    at, c, code, out) {
    while ((at = index(text, "\\"))) {
        out = out substr(text, 1, at - 1)
        c = substr(text, at + 1, 1)
        if (c == "u") {
            code = hexadecimal(substr(text, at + 2, 4))
            text = substr(text, at + 6)
            if (code >= 55296 && code < 56320 && text ~ /^\\u[dD][c-fC-F]/) {
                code = 65536 + (code - 55296) * 1024 + hexadecimal(substr(text, 3, 4)) - 56320
                text = substr(text, 7)
            }
            out = out utf8(code)
        } else {
            text = substr(text, at + 2)
            out = out (c == "\"" || c == "\\" ? "\\" c : c == "/" ? c : "?")
        }
    }
    return out text
}

function hexadecimal(digits,    i, value) {
    digits = tolower(digits)
    for (i = 1; i <= 4; i++) value = value * 16 + index("123456789abcdef", substr(digits, i, 1))
    return value
}

# A character in UTF-8 (RFC 3629), as a label's value has it.
function utf8(code) {
    if (code == 34 || code == 92) return "\\" sprintf("%c", code)
    if (code < 32 || (code >= 127 && code < 160) || (code >= 55296 && code < 57344)) return "?"
    if (code < 128) return sprintf("%c", code)
    if (code < 2048) return byte(192 + int(code / 64)) byte(128 + code % 64)
    if (code < 65536) return byte(224 + int(code / 4096)) byte(128 + int(code / 64) % 64) byte(128 + code % 64)
    return byte(240 + int(code / 262144)) byte(128 + int(code / 4096) % 64) byte(128 + int(code / 64) % 64) byte(128 + code % 64)
}

function byte(code) { return sprintf("%c", code) }
