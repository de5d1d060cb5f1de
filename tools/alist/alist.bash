# SPDX-License-Identifier: GPL-2.0-only
# bash completion for alist(1): verbs, their options, files, and the command of record.

_alist()
{
	local verbs="cost compare record replay demo show"
	local current=${COMP_WORDS[COMP_CWORD]} verb="" word options

	for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		if [ "$word" = -- ]; then
			mapfile -t COMPREPLY < <(compgen -c -- "$current"; compgen -f -- "$current")
			return
		fi
		case " $verbs " in
		*" $word "*) verb=${verb:-$word} ;;
		esac
	done
	case $current in
	-*)
		# What --help prints is the one list of options there is.
		options=$("${COMP_WORDS[0]}" ${verb:+"$verb"} --help 2>/dev/null |
			grep -oE -- '--[a-z]+(-[a-z]+)*' | sort -u)
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
		;;
	*)
		if [ -z "$verb" ]; then
			mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$current")
		else
			mapfile -t COMPREPLY < <(compgen -f -- "$current")
		fi
		;;
	esac
}
complete -o filenames -F _alist alist
