# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# Times as the script writes them, in seconds since 1970: functions for retention.awk and trend.awk.
#
# Must run unchanged under mawk, gawk and busybox awk.

# Seconds since 1970 of a time such as 2026-11-22T02:00:00Z, or "" if it is not a valid time. Without a call of `number`: busybox
# awk reads ten thousand times in a tenth of a second then.
function epoch_of(time,    day, h, mi, s) {
    if (time !~ /^[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]Z$/) return ""
    day = substr(time, 1, 10)
    if (!(day in known_days)) known_days[day] = day_start(day)
    h = ("1" substr(time, 12, 2)) - 100; mi = ("1" substr(time, 15, 2)) - 100; s = ("1" substr(time, 18, 2)) - 100
    if (known_days[day] == "" || h > 23 || mi > 59 || s > 59) return ""
    return known_days[day] + h * 3600 + mi * 60 + s
}

# Seconds since 1970 at which a day such as 2026-11-22 begins, or "" if there is no such day.
function day_start(day,    y, m, d) {
    y = number(substr(day, 1, 4)); m = number(substr(day, 6, 2)); d = number(substr(day, 9, 2))
    return (y < 1 || m < 1 || m > 12 || d < 1 || d > days_in_month(y, m)) ? "" : civil_days(y, m, d) * 86400
}

# busybox awk reads a number with a leading zero as octal. Two or four digits.
function number(digits) { return ("1" digits) - (length(digits) == 2 ? 100 : 10000) }

function is_leap(y) { return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0 }

function days_in_month(y, m) {
    if (m == 2) return is_leap(y) ? 29 : 28
    return (m == 4 || m == 6 || m == 9 || m == 11) ? 30 : 31
}

# Days since 1970-01-01 of a proleptic Gregorian date (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
# days_from_civil, for years from 1 on).
function civil_days(y, m, d,    era, yoe, doy) {
    if (m <= 2) y--
    era = int(y / 400)
    yoe = y - era * 400
    doy = int((153 * (m + (m > 2 ? -3 : 9)) + 2) / 5) + d - 1
    return era * 146097 + yoe * 365 + int(yoe / 4) - int(yoe / 100) + doy - 719468
}

# The day, such as 2026-11-22, of a number of days since 1970-01-01 (civil_from_days of the same page).
function day_text(days,    era, doe, yoe, doy, month) {
    days += 719468
    era = int(days / 146097)
    doe = days - era * 146097
    yoe = int((doe - int(doe / 1460) + int(doe / 36524) - int(doe / 146096)) / 365)
    doy = doe - (365 * yoe + int(yoe / 4) - int(yoe / 100))
    month = int((5 * doy + 2) / 153)
    return sprintf("%04d-%02d-%02d", yoe + era * 400 + (month > 9), month + (month < 10 ? 3 : -9), doy - int((153 * month + 2) / 5) + 1)
}
