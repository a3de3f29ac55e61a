/* SPDX-License-Identifier: ISC */
/* Times and durations as text. Done by hand: gmtime(3) and its kin read the zone's files, which a
 * sandboxed process cannot. */
#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

#define SECOND_MS INT64_C(1000)
#define DAY_S INT64_C(86400)

static const struct unit {
    char letter;
    int64_t seconds;
} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', DAY_S}, {'w', 7 * DAY_S}};

bool str_to_duration(const char *s, int64_t *ret_ms)
{
    char digits[12];
    int64_t count;
    size_t n = strlen(s);
    if (n < 2 || n > sizeof(digits) || s[0] == '-')
        return false;
    memcpy(digits, s, n - 1);
    digits[n - 1] = '\0';
    if (!str_to_i64(digits, 0, INT64_C(10000000000), &count))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (units[i].letter == s[n - 1]) {
            *ret_ms = count * units[i].seconds * SECOND_MS;
            return true;
        }
    }
    return false;
}

const char *str_from_duration(int64_t ms, char *buf, size_t size)
{
    const char *sign = ms < 0 ? "-" : "";
    uint64_t left = ms < 0 ? -(uint64_t)ms : (uint64_t)ms;
    if (left > 0 && left < 1000) {
        snprintf(buf, size, "%s%u ms", sign, (unsigned)left);
        return buf;
    }
    left /= 1000;
    size_t i = 3; /* days are the largest unit shown */
    while (i > 0 && left < (uint64_t)units[i].seconds)
        i--;
    uint64_t first = left / (uint64_t)units[i].seconds;
    uint64_t rest = i ? left % (uint64_t)units[i].seconds / (uint64_t)units[i - 1].seconds : 0;
    int n = snprintf(buf, size, "%s%llu %c", sign, (unsigned long long)first, units[i].letter);
    if (rest && n > 0 && (size_t)n < size)
        snprintf(buf + n, size - (size_t)n, " %llu %c", (unsigned long long)rest,
                 units[i - 1].letter);
    return buf;
}

static bool is_leap(int64_t y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static int month_days(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days from 1970-01-01 to the first of January of a year from 1 on. */
static int64_t days_before_year(int64_t year)
{
    int64_t y = year - 1;
    return y * 365 + y / 4 - y / 100 + y / 400 - 719162;
}

static char *put_number(char *p, int v, int digits)
{
    for (int i = digits; i-- > 0; v /= 10)
        p[i] = (char)('0' + v % 10);
    return p + digits;
}

/* By hand, for each step of each order is stored with its time: snprintf() is ten times as long. */
static void put_time(char *p, int year, int month, int day, int second)
{
    p = put_number(p, year, 4);
    *p++ = '-';
    p = put_number(p, month, 2);
    *p++ = '-';
    p = put_number(p, day, 2);
    *p++ = 'T';
    p = put_number(p, second / 3600, 2);
    *p++ = ':';
    p = put_number(p, second / 60 % 60, 2);
    *p++ = ':';
    p = put_number(p, second % 60, 2);
    *p++ = 'Z';
    *p = '\0';
}

const char *str_from_time(int64_t wall_ms, char *buf, size_t size)
{
    int64_t s = wall_ms / SECOND_MS - (wall_ms % SECOND_MS < 0);
    int64_t day = s / DAY_S - (s % DAY_S < 0);
    int64_t rest = s - day * DAY_S;
    if (day < days_before_year(1) || day >= days_before_year(10000)) {
        snprintf(buf, size, "%s", day < 0 ? "0001-01-01T00:00:00Z" : "9999-12-31T23:59:59Z");
        return buf;
    }
    int64_t year = 1970 + day / 366; /* off by a few years at most */
    while (days_before_year(year + 1) <= day)
        year++;
    while (days_before_year(year) > day)
        year--;
    day -= days_before_year(year);
    int month = 1;
    while (day >= month_days(year, month))
        day -= month_days(year, month++);
    char text[sizeof("9999-12-31T23:59:59Z")];
    put_time(text, (int)year, month, (int)day + 1, (int)rest);
    str_copy(buf, size, text);
    return buf;
}

/* Exactly n digits at *p. */
static bool take_number(const char **p, int n, int min, int max, int *ret)
{
    int v = 0;
    for (int i = 0; i < n; i++) {
        char c = (*p)[i];
        if (c < '0' || c > '9')
            return false;
        v = v * 10 + (c - '0');
    }
    *p += n;
    *ret = v;
    return v >= min && v <= max;
}

static bool take_char(const char **p, char c)
{
    if (**p != c && !(c >= 'A' && **p == c + ('a' - 'A')))
        return false;
    (*p)++;
    return true;
}

/* ".123" to milliseconds; digits beyond are cut off. */
static bool take_fraction(const char **p, int *ret_ms)
{
    int ms = 0, scale = 100;
    if (**p < '0' || **p > '9')
        return false;
    for (; **p >= '0' && **p <= '9'; (*p)++) {
        ms += (**p - '0') * scale;
        scale /= 10;
    }
    *ret_ms = ms;
    return true;
}

static bool take_offset(const char **p, int *ret_minutes)
{
    int hours, minutes;
    if (take_char(p, 'Z')) {
        *ret_minutes = 0;
        return true;
    }
    int sign = **p == '-' ? -1 : 1;
    if (!take_char(p, '+') && !take_char(p, '-'))
        return false;
    if (!take_number(p, 2, 0, 23, &hours) || !take_char(p, ':') ||
        !take_number(p, 2, 0, 59, &minutes))
        return false;
    *ret_minutes = sign * (hours * 60 + minutes);
    return true;
}

bool str_to_time(const char *s, int64_t *ret_wall_ms)
{
    int year, month, day, hour, minute, second, ms = 0, offset;
    if (!take_number(&s, 4, 1, 9999, &year) || !take_char(&s, '-') ||
        !take_number(&s, 2, 1, 12, &month) || !take_char(&s, '-') ||
        !take_number(&s, 2, 1, month_days(year, month), &day))
        return false;
    if (!take_char(&s, 'T') && !take_char(&s, ' '))
        return false;
    if (!take_number(&s, 2, 0, 23, &hour) || !take_char(&s, ':') ||
        !take_number(&s, 2, 0, 59, &minute) || !take_char(&s, ':') ||
        !take_number(&s, 2, 0, 60, &second)) /* 60: a leap second */
        return false;
    if (take_char(&s, '.') && !take_fraction(&s, &ms))
        return false;
    if (!take_offset(&s, &offset) || *s)
        return false;
    int64_t days = days_before_year(year) + day - 1;
    for (int m = 1; m < month; m++)
        days += month_days(year, m);
    int64_t minutes = days * 1440 + hour * 60 + minute - offset;
    *ret_wall_ms = (minutes * 60 + second) * SECOND_MS + ms;
    return true;
}
