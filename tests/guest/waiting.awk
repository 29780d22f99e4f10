# SPDX-License-Identifier: BSD-3-Clause
# What a kernel says of its tasks when it is asked (sysrq t and w), a line for each that may be at fault: zcram's own,
# those that use its devices, and whoever cannot be interrupted. What waits is named from the inside out.
#
#	awk -f waiting.awk CONSOLE

# The word behind NAME in the line.
function word(name,  rest) {
	if (!match($0, name ": *"))
		return ""
	rest = substr($0, RSTART + RLENGTH)
	sub(/ .*/, "", rest)
	return rest
}

function end_task() {
	if (task != "" && !(task in said)) {
		said[task] = 1
		print task ":" calls
	}
	task = ""
}

/ task:/ {
	end_task()
	calls = ""
	count = 0
	if (/ task:(zcram|zs-|nbdkit|swapload|fio|probe|hold)/ || word("state") == "D")
		task = word("task") " " word("pid") " " word("state")
	next
}

# "?" stands before what calls that have ended left on the stack. What is no news is left out.
task != "" && match($0, /\] +[A-Za-z0-9_.]+\+0x/) && !/schedule|SYSCALL|syscall_64|__x64_sys_|__do_sys_|ret_from/ && count < 6 {
	call = substr($0, RSTART, RLENGTH - 3)
	sub(/\] +/, "", call)
	calls = calls (count++ ? " < " : " ") call
}

END {
	end_task()
}
