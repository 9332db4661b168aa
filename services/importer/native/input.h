/* The bytes of a file, a block at a time. */
#ifndef GEXLAKE_INPUT_H
#define GEXLAKE_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is still to be read begins at `at` and ends at `size`, where a NUL is. */
typedef struct {
    int file; /* -1: not opened */
    uint8_t *block;
    size_t capacity, at, size;
    bool has_ended;
} Input;

/* These return 0 or an errno. */
int input_open(Input *input, const char *path);
/* Reads on behind what is left, which moves to the front: at least as much again, and `block_bytes` more. */
int input_refill(Input *input, size_t block_bytes);
void input_close(Input *input);

#endif
