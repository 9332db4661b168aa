/* The bytes of a file, a block at a time. */
#ifndef GEXLAKE_INPUT_H
#define GEXLAKE_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The unread bytes are those from `at` to `size`, followed by a NUL. */
typedef struct {
    int file; /* -1: not opened */
    uint8_t *block;
    size_t capacity, at, size;
    int64_t before; /* the bytes of the file before the block */
    bool has_ended;
} Input;

/* These return 0 or an errno. */
int input_open(Input *input, const char *path);
/* Moves the unread bytes to the front and reads on after them: at least as many bytes again, and `block_bytes` more. */
int input_refill(Input *input, size_t block_bytes);
void input_close(Input *input);

#endif
