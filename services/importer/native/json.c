#include "json.h"

#include <stdlib.h>
#include <string.h>

const char JSON_NO_MEMORY[] = "no memory";

bool text_grow(Text *text, size_t more) {
    size_t capacity = text->capacity ? text->capacity : 256;
    while (capacity - text->size < more) capacity *= 2;
    uint8_t *bytes = realloc(text->bytes, capacity);
    if (bytes == NULL) return false;
    text->bytes = bytes;
    text->capacity = capacity;
    return true;
}

void text_free(Text *text) {
    free(text->bytes);
    *text = (Text){0};
}

static bool word(Cursor *cursor, const char *wanted) {
    const uint8_t *at = cursor->at;
    for (; *wanted; wanted++, at++)
        if (*at != (uint8_t)*wanted) return json_fail(cursor, at, "expected a JSON value");
    cursor->at = at;
    return true;
}

bool json_null(Cursor *cursor) { return word(cursor, "null"); }

/* Strings */

static inline bool is_hex(uint8_t byte) { return json_is_digit(byte) || (uint8_t)((byte | 0x20) - 'a') < 6; }

static bool escape(Cursor *cursor) {
    const uint8_t *at = cursor->at + 1;
    if (*at != 'u') {
        if (*at == 0 || strchr("\"\\/bfnrt", *at) == NULL)
            return json_fail(cursor, at, "unknown escape in a string");
        cursor->at = at + 1;
        return true;
    }
    for (int digit = 0; digit < 4; digit++)
        if (!is_hex(*++at)) return json_fail(cursor, at, "incomplete escape in a string");
    cursor->at = at + 1;
    return true;
}

/* Skips a character of two to four bytes; overlong forms and halves of surrogate pairs are faults. */
static bool multibyte(Cursor *cursor) {
    const uint8_t *at = cursor->at;
    uint8_t first = *at, min = 0x80, max = 0xBF;
    int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
    if (first < 0xC2 || first > 0xF4) return json_fail(cursor, at, "invalid UTF-8");
    if (first == 0xE0) min = 0xA0;
    if (first == 0xED) max = 0x9F;
    if (first == 0xF0) min = 0x90;
    if (first == 0xF4) max = 0x8F;
    for (; more; more--, min = 0x80, max = 0xBF)
        if (*++at < min || *at > max) return json_fail(cursor, at, "invalid UTF-8");
    cursor->at = at + 1;
    return true;
}

bool json_string(Cursor *cursor, Slice *inside, bool *has_escapes) {
    if (!json_expect(cursor, '"', "expected a string")) return false;
    inside->start = cursor->at;
    *has_escapes = false;
    while (*cursor->at != '"') {
        uint8_t byte = *cursor->at;
        if (byte == '\\') {
            *has_escapes = true;
            if (!escape(cursor)) return false;
        } else if (byte >= 0x80) {
            if (!multibyte(cursor)) return false;
        } else if (byte < 0x20) {
            return json_fail(cursor, cursor->at, "control character in a string");
        } else {
            cursor->at++;
        }
    }
    inside->size = (size_t)(cursor->at - inside->start);
    cursor->at++;
    return true;
}

static uint32_t code_unit(const uint8_t *hex) {
    uint32_t unit = 0;
    for (int digit = 0; digit < 4; digit++)
        unit = unit * 16 + (json_is_digit(hex[digit]) ? hex[digit] - '0' : (hex[digit] | 0x20) - 'a' + 10);
    return unit;
}

static size_t encode(uint32_t point, uint8_t *out) {
    if (point < 0x80) return out[0] = (uint8_t)point, 1;
    if (point < 0x800) return out[0] = 0xC0 | point >> 6, out[1] = 0x80 | (point & 0x3F), 2;
    if (point < 0x10000)
        return out[0] = 0xE0 | point >> 12, out[1] = 0x80 | (point >> 6 & 0x3F), out[2] = 0x80 | (point & 0x3F),
               3;
    return out[0] = 0xF0 | point >> 18, out[1] = 0x80 | (point >> 12 & 0x3F), out[2] = 0x80 | (point >> 6 & 0x3F),
           out[3] = 0x80 | (point & 0x3F), 4;
}

static uint8_t short_escape(uint8_t letter) {
    switch (letter) {
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default: return letter;
    }
}

/* Reads the digits after \u, and the second escape if this one is the first half of a surrogate pair. */
static bool code_point(const uint8_t **at, const uint8_t *end, uint32_t *point) {
    *point = code_unit(*at);
    *at += 4;
    if (*point < 0xD800 || *point > 0xDFFF) return true;
    if (*point > 0xDBFF || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u') return false;
    uint32_t second = code_unit(*at + 2);
    if (second < 0xDC00 || second > 0xDFFF) return false;
    *at += 6;
    *point = 0x10000 + ((*point - 0xD800) << 10) + (second - 0xDC00);
    return true;
}

bool json_unescape(Cursor *cursor, Slice inside, Text *plain) {
    /* Unescaped text is never longer. */
    if (!text_reserve(plain, inside.size)) return json_fail(cursor, inside.start, JSON_NO_MEMORY);
    const uint8_t *at = inside.start, *end = at + inside.size;
    while (at < end) {
        if (*at != '\\') {
            plain->bytes[plain->size++] = *at++;
        } else if (at[1] != 'u') {
            plain->bytes[plain->size++] = short_escape(at[1]);
            at += 2;
        } else {
            uint32_t point;
            at += 2;
            if (!code_point(&at, end, &point))
                return json_fail(cursor, inside.start, "half of a surrogate pair in a name");
            plain->size += encode(point, plain->bytes + plain->size);
        }
    }
    return true;
}

/* Arrays and objects */

bool json_flat_array(Cursor *cursor, Slice *whole, bool *has_blanks) {
    const uint8_t *start = cursor->at, *before;
    bool blanks = false;
    if (!json_expect(cursor, '[', "expected an array of numbers")) return false;
    before = cursor->at, json_skip_blanks(cursor), blanks |= cursor->at != before;
    if (*cursor->at == ']') {
        cursor->at++;
    } else {
        for (;;) {
            if (*cursor->at == 'n' ? !json_null(cursor) : !json_skip_number(cursor)) return false;
            before = cursor->at, json_skip_blanks(cursor), blanks |= cursor->at != before;
            if (*cursor->at == ']') break;
            if (!json_expect(cursor, ',', "expected a comma between two numbers")) return false;
            before = cursor->at, json_skip_blanks(cursor), blanks |= cursor->at != before;
        }
        cursor->at++;
    }
    *whole = (Slice){start, (size_t)(cursor->at - start)};
    *has_blanks = blanks;
    return true;
}

static bool elements(Cursor *cursor, int depth) {
    cursor->at++;
    json_skip_blanks(cursor);
    if (*cursor->at == ']') return cursor->at++, true;
    for (;;) {
        if (!json_value(cursor, depth)) return false;
        json_skip_blanks(cursor);
        if (*cursor->at == ']') return cursor->at++, true;
        if (!json_expect(cursor, ',', "expected a comma between two elements")) return false;
        json_skip_blanks(cursor);
    }
}

static bool members(Cursor *cursor, int depth) {
    Slice name;
    bool has_escapes;
    cursor->at++;
    json_skip_blanks(cursor);
    if (*cursor->at == '}') return cursor->at++, true;
    for (;;) {
        if (!json_string(cursor, &name, &has_escapes)) return false;
        json_skip_blanks(cursor);
        if (!json_expect(cursor, ':', "expected a colon after a name")) return false;
        json_skip_blanks(cursor);
        if (!json_value(cursor, depth)) return false;
        json_skip_blanks(cursor);
        if (*cursor->at == '}') return cursor->at++, true;
        if (!json_expect(cursor, ',', "expected a comma between two fields")) return false;
        json_skip_blanks(cursor);
    }
}

bool json_value(Cursor *cursor, int depth) {
    Slice inside;
    bool has_escapes;
    switch (*cursor->at) {
    case '"': return json_string(cursor, &inside, &has_escapes);
    case 't': return word(cursor, "true");
    case 'f': return word(cursor, "false");
    case 'n': return word(cursor, "null");
    case '[':
    case '{':
        if (depth == 0) return json_fail(cursor, cursor->at, "nested too deeply");
        return *cursor->at == '[' ? elements(cursor, depth - 1) : members(cursor, depth - 1);
    default: return json_skip_number(cursor);
    }
}

bool json_append_compact(Text *text, Slice json) {
    if (!text_reserve(text, json.size)) return false;
    const uint8_t *at = json.start, *end = at + json.size;
    bool in_string = false;
    for (; at < end; at++) {
        if (!in_string && json_is_blank(*at)) continue;
        text->bytes[text->size++] = *at;
        if (*at == '"') in_string = !in_string;
        else if (*at == '\\') text->bytes[text->size++] = *++at;
    }
    return true;
}
