/* SPDX-License-Identifier: ISC */
/* Build tool: writes the JSON Schema of renewd.yaml to the file that it is given. */
#include "base/json.h"
#include "base/mem.h"
#include "conf/load.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    CLEANUP_JSON struct json *schema = conf_schema();
    CLEANUP_FREE char *text = json_print(schema, true);
    FILE *f;

    if (argc != 2) {
        fprintf(stderr, "usage: %s FILE\n", argv[0]);
        return 2;
    }
    f = fopen(argv[1], "we");
    if (!f || fputs(text, f) == EOF || fputc('\n', f) == EOF || fclose(f) == EOF) {
        perror(argv[1]);
        return 1;
    }
    return 0;
}
