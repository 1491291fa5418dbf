/* Completions for bash, zsh and fish from the option tables; run at build time. */
#include "shell/opt.h"

#include <string.h>

/* The words that an option's value may be, each after a blank; true if there are any. */
static bool put_values(FILE *out, const struct opt *o)
{
	const char *const *list = o->choices ? o->choices : o->words;

	for (size_t i = 0; list && list[i]; i++)
		fprintf(out, "%s%s", i ? " " : "", list[i]);
	return list && list[0];
}

static bool takes_files(const struct opt *o)
{
	return o->complete != COMPLETE_NONE;
}

/* A function name: "sbx-shell" -> "_sbx_shell". */
static void put_function(FILE *out, const char *program)
{
	fputc('_', out);
	for (; *program; program++)
		fputc(*program == '-' ? '_' : *program, out);
}

/* -- bash ------------------------------------------------------------------------------------ */

static void bash_command(FILE *out, const struct opt_command *c, const char *indent)
{
	fprintf(out, "%scase \"$prev\" in\n", indent);
	for (const struct opt *o = c->opts; o && o->name; o++) {
		if (o->kind == OPT_FLAG)
			continue;
		fprintf(out, "%s--%s", indent, o->name);
		if (o->letter)
			fprintf(out, "|-%c", o->letter);
		fputs(") ", out);
		if (takes_files(o)) {
			fprintf(out, "compopt -o filenames; COMPREPLY=($(compgen -%c -- \"$cur\"))",
				o->complete == COMPLETE_FILE ? 'f' : 'd');
		} else {
			fputs("COMPREPLY=($(compgen -W '", out);
			put_values(out, o);
			fputs("' -- \"$cur\"))", out);
		}
		fputs("; return ;;\n", out);
	}
	fprintf(out, "%sesac\n%sopts='--help --version", indent, indent);
	for (const struct opt *o = c->opts; o && o->name; o++)
		fprintf(out, " --%s", o->name);
	fputs("'\n", out);
}

static void bash_verbs(FILE *out, const struct opt_command *const *cmds)
{
	fputs("    local done=\"${COMP_WORDS[*]:1:COMP_CWORD-1} \"\n"
	      "    case \"$done\" in\n",
	      out);
	for (const struct opt_command *const *c = cmds; *c; c++) {
		fprintf(out, "    '%s '*)\n", (*c)->name);
		bash_command(out, *c, "        ");
		fputs("        ;;\n", out);
	}
	fputs("    *)\n        local verbs='", out);
	for (const struct opt_command *const *c = cmds; *c; c++)
		fprintf(out, "%s%s", c == cmds ? "" : "\n", (*c)->name);
	fputs("'\n"
	      "        [ \"$done\" = ' ' ] && done=\n"
	      "        COMPREPLY=($(compgen -W \"$(printf '%s\\n' \"$verbs\" |\n"
	      "            while IFS= read -r v; do case \"$v \" in \"$done\"*)\n"
	      "                v=\"${v#\"$done\"}\"; echo \"${v%% *}\" ;; esac; done)"
	      " --help --version\" -- \"$cur\"))\n"
	      "        return ;;\n"
	      "    esac\n",
	      out);
}

void opt_complete_bash(FILE *out, const char *program, bool single,
		       const struct opt_command *const *cmds)
{
	fprintf(out, "# bash completion for %s\n", program);
	put_function(out, program);
	fputs("()\n{\n"
	      "    local cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD-1]}\" "
	      "opts=\n"
	      "    COMPREPLY=()\n"
	      "    # bash splits --name=value at the sign\n"
	      "    if [ \"$prev\" = = ]; then prev=\"${COMP_WORDS[COMP_CWORD-2]}\"; fi\n"
	      "    if [ \"$cur\" = = ]; then cur=; fi\n",
	      out);
	if (single && cmds[0]->rest_after_dashes)
		fputs("    local i\n"
		      "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
		      "        [ \"${COMP_WORDS[i]}\" = -- ] || continue\n"
		      "        compopt -o filenames\n"
		      "        if ((i + 1 == COMP_CWORD)); then "
		      "COMPREPLY=($(compgen -c -- \"$cur\"))\n"
		      "        else COMPREPLY=($(compgen -f -- \"$cur\")); fi\n"
		      "        return\n"
		      "    done\n",
		      out);
	if (single)
		bash_command(out, cmds[0], "    ");
	else
		bash_verbs(out, cmds);
	fputs("    case \"$cur\" in\n"
	      "    -*) COMPREPLY=($(compgen -W \"$opts\" -- \"$cur\")) ;;\n"
	      "    *) compopt -o filenames; COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
	      "    esac\n"
	      "}\n",
	      out);
	fputs("complete -F ", out);
	put_function(out, program);
	fprintf(out, " %s\n", program);
}

/* -- zsh ------------------------------------------------------------------------------------- */

/* Inside '...[here]...': quotes, brackets and colons mean something. */
static void zsh_text(FILE *out, const char *s)
{
	for (; *s; s++) {
		if (*s == '\'')
			fputs("'\\''", out);
		else if (strchr("[]:\\", *s))
			fprintf(out, "\\%c", *s);
		else
			fputc(*s, out);
	}
}

static void zsh_options(FILE *out, const struct opt_command *c, const char *indent)
{
	fprintf(out, "%s_arguments -s -S : \\\n", indent);
	for (const struct opt *o = c->opts; o && o->name; o++) {
		fprintf(out, "%s    ", indent);
		if (o->kind == OPT_LIST)
			fputs("\\*", out);
		else if (o->letter)
			fprintf(out, "'(-%c --%s)'", o->letter, o->name);
		if (o->letter)
			fprintf(out, "{-%c,--%s}", o->letter, o->name);
		else
			fprintf(out, "--%s", o->name);
		fputs(o->kind == OPT_FLAG ? "'[" : o->letter ? "'[" : "'=[", out);
		zsh_text(out, o->help);
		fputc(']', out);
		if (o->kind != OPT_FLAG) {
			fputc(':', out);
			zsh_text(out, o->arg);
			fputc(':', out);
			if (takes_files(o)) {
				fputs(o->complete == COMPLETE_FILE ? "_files" : "_files -/", out);
			} else if (o->choices || o->words) {
				fputc('(', out);
				put_values(out, o);
				fputc(')', out);
			}
		}
		fputs("' \\\n", out);
	}
	fprintf(out, "%s    '(-h --help)'{-h,--help}'[Print a summary of the options.]' \\\n",
		indent);
	fprintf(out, "%s    --version'[Print the version.]' \\\n", indent);
	if (c->rest_after_dashes)
		fprintf(out, "%s    '1:workspace:_files -/' '*:::command:_normal'\n", indent);
	else
		fprintf(out, "%s    '*:argument:_files'\n", indent);
}

static void zsh_verbs(FILE *out, const struct opt_command *const *cmds)
{
	fputs("    local -a verbs\n    verbs=(\n", out);
	for (const struct opt_command *const *c = cmds; *c; c++) {
		fprintf(out, "        '%s:", (*c)->name);
		zsh_text(out, (*c)->summary);
		fputs("'\n", out);
	}
	fputs("    )\n"
	      "    local done=\"${(j: :)words[2,CURRENT-1]} \" skip=0\n"
	      "    case \"$done\" in\n",
	      out);
	for (const struct opt_command *const *c = cmds; *c; c++) {
		bool two = strchr((*c)->name, ' ') != NULL;

		fprintf(out, "    '%s '*)\n        shift %d words; (( CURRENT -= %d ))\n",
			(*c)->name, 1 + two, 1 + two);
		zsh_options(out, *c, "        ");
		fputs("        ;;\n", out);
	}
	fputs("    *)\n"
	      "        [[ \"$done\" = ' ' ]] && done=\n"
	      "        local -a next\n"
	      "        local v\n"
	      "        for v in $verbs; do\n"
	      "            [[ \"$v\" = \"$done\"* ]] || continue\n"
	      "            v=\"${v#\"$done\"}\"\n"
	      "            if [[ \"${v%%:*}\" = *' '* ]]; then next+=(\"${v%% *}\")\n"
	      "            else next+=(\"$v\"); fi\n"
	      "        done\n"
	      "        next=(${(u)next})\n"
	      "        _describe command next ;;\n"
	      "    esac\n",
	      out);
}

void opt_complete_zsh(FILE *out, const char *program, bool single,
		      const struct opt_command *const *cmds)
{
	fprintf(out, "#compdef %s\n", program);
	put_function(out, program);
	fputs("() {\n", out);
	if (single)
		zsh_options(out, cmds[0], "    ");
	else
		zsh_verbs(out, cmds);
	fputs("}\n", out);
	put_function(out, program);
	fputs(" \"$@\"\n", out);
}

/* -- fish ------------------------------------------------------------------------------------ */

static void fish_text(FILE *out, const char *s)
{
	fputc('\'', out);
	for (; *s; s++) {
		if (*s == '\'' || *s == '\\')
			fputc('\\', out);
		fputc(*s, out);
	}
	fputc('\'', out);
}

static void fish_options(FILE *out, const char *program, const char *when,
			 const struct opt_command *c)
{
	for (const struct opt *o = c->opts; o && o->name; o++) {
		fprintf(out, "complete -c %s -n '%s' -l %s", program, when, o->name);
		if (o->letter)
			fprintf(out, " -s %c", o->letter);
		if (o->kind != OPT_FLAG && takes_files(o)) {
			fputs(" -r -F", out);
		} else if (o->kind != OPT_FLAG) {
			fputs(" -x", out);
			if (o->choices || o->words) {
				fputs(" -a '", out);
				put_values(out, o);
				fputc('\'', out);
			}
		}
		fputs(" -d ", out);
		fish_text(out, o->help);
		fputc('\n', out);
	}
	fprintf(out, "complete -c %s -n '%s' -l help -s h -d 'Print a summary of the options.'\n",
		program, when);
}

static void fish_verbs(FILE *out, const char *program, const struct opt_command *const *cmds)
{
	/* in: these words begin the line; at: and nothing follows them yet */
	fprintf(out,
		"function __%s_in\n    set -l w (commandline -opc)\n    set -e w[1]\n"
		"    for a in $argv\n        test \"$w[1]\" = $a; or return 1\n"
		"        set -e w[1]\n    end\nend\n"
		"function __%s_at\n    test (count (commandline -opc)) -eq (math (count $argv) + 1)"
		"; and __%s_in $argv\nend\n"
		"complete -c %s -n '__%s_at' -f\n",
		program, program, program, program, program);
	for (; *cmds; cmds++) {
		const struct opt_command *c = *cmds;
		const char *space = strchr(c->name, ' ');
		char when[100];

		if (space) {
			int len = (int)(space - c->name);

			fprintf(out, "complete -c %s -n '__%s_at' -f -a %.*s\n", program, program,
				len, c->name);
			fprintf(out, "complete -c %s -n '__%s_at %.*s' -f -a %s -d ", program,
				program, len, c->name, space + 1);
		} else {
			fprintf(out, "complete -c %s -n '__%s_at' -f -a %s -d ", program, program,
				c->name);
		}
		fish_text(out, c->summary);
		fputc('\n', out);
		snprintf(when, sizeof(when), "__%s_in %s", program, c->name);
		fish_options(out, program, when, c);
	}
}

void opt_complete_fish(FILE *out, const char *program, bool single,
		       const struct opt_command *const *cmds)
{
	static const char before[] = "not contains -- -- (commandline -opc)";

	fprintf(out, "# fish completion for %s\n", program);
	if (!single) {
		fish_verbs(out, program, cmds);
		return;
	}
	fprintf(out, "complete -c %s -n '%s' -f -a '(__fish_complete_directories)'\n", program,
		before);
	fish_options(out, program, before, cmds[0]);
}
