#include "json.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>

#define MAX_DIGITS 19          /* always fit into 64 bits */
#define MAX_EXACT (1ULL << 53) /* integers up to this one are exact as doubles */
#define MAX_EXPONENT 1000000   /* a larger one is the same as this one: only zero stays finite */
#define MAX_FINITE_DIGITS 300  /* whole numbers of up to this many digits are finite */
#define MAX_POWER 22           /* powers of ten up to this one are exact as doubles */

static const double POWERS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* The parts of a number: digits * 10^exponent, unless there are too many digits. */
typedef struct {
    const uint8_t *start;
    uint64_t digits;
    int64_t count;
    int64_t exponent;
    bool is_negative;
} Number;

static bool no_number(Cursor *cursor, const uint8_t *at) { return json_fail(cursor, at, "expected a number"); }

static bool exponent(Cursor *cursor, Number *number) {
    const uint8_t *at = cursor->at + 1;
    bool is_negative = *at == '-';
    if (*at == '-' || *at == '+') at++;
    if (!json_is_digit(*at)) return no_number(cursor, at);
    int64_t value = 0;
    for (; json_is_digit(*at); at++)
        if (value < MAX_EXPONENT) value = value * 10 + (*at - '0');
    number->exponent += is_negative ? -value : value;
    cursor->at = at;
    return true;
}

static bool scan_number(Cursor *cursor, Number *number) {
    const uint8_t *at = cursor->at;
    *number = (Number){.start = at, .is_negative = *at == '-'};
    at += number->is_negative;
    if (!json_is_digit(*at)) return no_number(cursor, at);
    const uint8_t *first = at;
    uint64_t digits = 0;
    if (*at == '0') at++;
    else
        for (; json_is_digit(*at); at++) digits = digits * 10 + (*at - '0');
    number->count = at - first;
    if (*at == '.') {
        const uint8_t *fraction = ++at;
        for (; json_is_digit(*at); at++) digits = digits * 10 + (*at - '0');
        if (at == fraction) return no_number(cursor, at);
        number->count += at - fraction;
        number->exponent = fraction - at;
    }
    number->digits = digits;
    cursor->at = at;
    return (*at | 0x20) == 'e' ? exponent(cursor, number) : true;
}

/* Returns the locale "C", made by the first thread that needs it; 0 if there is no memory. */
static locale_t plain_locale(void) {
    static locale_t plain = (locale_t)0;
    locale_t locale = __atomic_load_n(&plain, __ATOMIC_ACQUIRE);
    if (locale != (locale_t)0) return locale;
    locale_t made = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (made == (locale_t)0) return made;
    if (__atomic_compare_exchange_n(&plain, &locale, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return made;
    freelocale(made);
    return locale;
}

/* The C library rounds correctly, but uses the decimal point of a locale. */
static bool from_text(Cursor *cursor, const uint8_t *start, double *value) {
    locale_t locale = plain_locale();
    if (locale == (locale_t)0) return json_fail(cursor, start, JSON_NO_MEMORY);
    *value = strtod_l((const char *)start, NULL, locale);
    return isfinite(*value) ? true : json_fail(cursor, start, "expected a finite number");
}

bool json_number(Cursor *cursor, double *value) {
    const uint8_t *start = cursor->at;
    Number number;
    if (!scan_number(cursor, &number)) return false;
    if (cursor->at == cursor->limit) return json_fail(cursor, cursor->limit, "incomplete number");
    bool is_exact = number.count <= MAX_DIGITS && number.digits <= MAX_EXACT && number.exponent >= -MAX_POWER &&
                    number.exponent <= MAX_POWER;
    if (is_exact) {
        /* Both operands are exact, so their quotient or product is rounded once, and correctly. */
        double digits = (double)number.digits;
        double positive = number.exponent < 0 ? digits / POWERS[-number.exponent]
                                              : digits * POWERS[number.exponent];
        *value = number.is_negative ? -positive : positive;
        return true;
    }
    return from_text(cursor, start, value);
}

/* Only a number with an exponent, or with very many digits, may be too large for a double. */
bool json_skip_number(Cursor *cursor) {
    const uint8_t *start = cursor->at, *at = start + (*start == '-');
    if (!json_is_digit(*at)) return no_number(cursor, at);
    if (*at == '0') at++;
    else
        while (json_is_digit(*at)) at++;
    bool may_be_too_large = at - start > MAX_FINITE_DIGITS;
    if (*at == '.') {
        if (!json_is_digit(*++at)) return no_number(cursor, at);
        while (json_is_digit(*at)) at++;
    }
    cursor->at = at;
    if ((*at | 0x20) == 'e') {
        Number unused = {0};
        if (!exponent(cursor, &unused)) return false;
        may_be_too_large = true;
    }
    if (!may_be_too_large || !cursor->is_kept) return true;
    double value;
    cursor->at = start;
    return json_number(cursor, &value);
}
