#!/bin/sh
# The life of the deb on a machine: installed, used, upgraded, removed and purged. It runs in a fresh Debian, once as one that systemd has
# booted (lifecycle.sh booted) and once in a bare chroot. An expectation that does not hold prints a line with FAIL and ends it; the last line is END.
export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin
booted=$1

expect() { # WHAT COMMAND…
	what=$1
	shift
	if "$@" >/tmp/said 2>&1; then echo "ok: $what"; else
		failed "$what: $*"
	fi
}
failed() { # what is behind it is not looked at: it would wait for what cannot come
	echo "FAIL: $1"
	cat /tmp/said
	if [ "$booted" ]; then journalctl --no-pager --lines 60 -u 'inkwell-*' -u scribed; fi
	exit 1
}
refuse() { # WHAT COMMAND…: it must fail
	what=$1
	shift
	if "$@" >/tmp/said 2>&1; then failed "$what: $*"; else echo "ok: $what"; fi
}
# await WHAT COMMAND…: it must succeed within a minute
await() {
	what=$1
	shift
	for _ in $(seq 600); do
		if "$@" >/tmp/said 2>&1; then
			echo "ok: $what"
			return
		fi
		sleep 0.1
	done
	failed "$what: $*"
}
has() { case $(sh -c "$1" 2>&1) in *"$2"*) ;; *) sh -c "$1"; return 1 ;; esac; } # COMMAND TEXT: the command prints it
units='inkwell-collect inkwell-forward scribed'

# Somebody's own program of that name is not replaced.
mkdir -p /usr/local/bin && printf '#!/bin/sh\necho the old one\n' >/usr/local/bin/scribed && chmod 755 /usr/local/bin/scribed

expect 'install' dpkg -i /packages/old.deb
expect 'the program runs' has 'inkwell version' '1.0.0'
expect 'there is a user' getent passwd inkwell
expect 'the names of Scribe lead to it' has 'scribe_cat' 'usage (message is stdin)'
expect 'they are alternatives' has 'update-alternatives --query scribed' '/usr/bin/inkwell'
expect 'an old program stays first' has 'PATH=/usr/local/bin:$PATH scribed' 'the old one'
expect 'the configurations are right' inkwell check /etc/inkwell/collect.conf
expect 'that of the forwarder too' inkwell check /etc/inkwell/forward.conf
refuse 'nothing is enabled' ls /etc/systemd/system/multi-user.target.wants/inkwell-collect.service

# Another program can be given the names, and they can be taken back.
printf '#!/bin/sh\necho another\n' >/opt/scribed && chmod 755 /opt/scribed
expect 'install another scribed' update-alternatives --install /usr/bin/scribed scribed /opt/scribed 5
expect 'give it the name' update-alternatives --set scribed /opt/scribed
expect 'it has it' has scribed another
expect 'take the name back' update-alternatives --auto scribed
expect 'ours has it again' has 'scribed --help' 'Usage: scribed'
expect 'remove the other' update-alternatives --remove scribed /opt/scribed

echo '# changed here' >>/etc/inkwell/collect.conf
if [ "$booted" ]; then
	expect 'the units are right' systemd-analyze verify --man=no inkwell-collect.service inkwell-forward.service scribed.service
	for unit in $units; do refuse "$unit is not started" systemctl is-active $unit; done
	sed -i 's|^listen=.*|listen=127.0.0.1:1463\nlisten=unix:/run/inkwell/collect.sock|' /etc/inkwell/collect.conf
	sed -i 's|logs.example.com|127.0.0.1|' /etc/inkwell/forward.conf
	# systemd-nspawn gives its machine a boot id by mounting a file over that of /proc. These three mount /proc anew, with the id of the
	# host in it, and journalctl finds no entry of this boot then. A machine of its own does not have that.
	mkdir -p /etc/systemd/system/inkwell-forward.service.d
	printf '[Service]\nProtectProc=default\nProtectKernelTunables=no\nProtectControlGroups=no\n' >/etc/systemd/system/inkwell-forward.service.d/nspawn.conf
	systemctl daemon-reload
	expect 'enable and start' systemctl enable --now inkwell-collect inkwell-forward
	await 'it takes what is sent' sh -c 'echo first | inkwell cat-to 127.0.0.1 web'
	expect 'over a socket in /run/inkwell too' sh -c 'echo second | inkwell cat-to unix:/run/inkwell/collect.sock web'
	logger -t tester 'from the journal'
	await 'the forwarder sends the journal' has 'inkwell cat /var/log/inkwell/syslog.tester' 'from the journal'
	expect 'reload' systemctl reload inkwell-collect
	await 'it was reloaded' has 'journalctl -u inkwell-collect' 'reload'
	pid=$(systemctl show -P MainPID inkwell-collect)

	install -d -o inkwell -g inkwell /var/log/scribe
	mkdir -p /etc/scribe
	printf 'port=1464\n<store>\ncategory=default\ntype=file\nfile_path=/var/log/scribe\nbase_filename=thisisoverwritten\n</store>\n' >/etc/scribe/scribe.conf
	expect 'scribed starts' systemctl start scribed
	await 'it takes what is sent' sh -c 'echo old | scribe_cat -h 127.0.0.1:1464 old'
	expect 'scribed stops' systemctl stop scribed
	expect 'and has written' grep old /var/log/scribe/old/old_current
else
	install -d -o inkwell -g inkwell /var/lib/inkwell-collect /var/log/inkwell/web
	echo kept >/var/log/inkwell/web/web_00000
	rm /etc/inkwell/forward.conf # who only collects may remove it
fi

expect 'upgrade' dpkg -i /packages/new.deb
if [ ! "$booted" ]; then refuse 'a configuration that was removed does not come back' ls /etc/inkwell/forward.conf; fi
expect 'the new program runs' has 'inkwell version' '1.1.0'
expect 'the changed configuration is kept' grep 'changed here' /etc/inkwell/collect.conf
expect 'the names are kept' has 'update-alternatives --query scribed' 'Status: auto'
if [ "$booted" ]; then
	expect 'it runs' systemctl is-active inkwell-collect inkwell-forward
	refuse 'it was restarted' [ "$pid" = "$(systemctl show -P MainPID inkwell-collect)" ]
	refuse 'what did not run was not started' systemctl is-active scribed
	expect 'it is enabled still' systemctl is-enabled inkwell-collect
	await 'it takes what is sent' sh -c 'echo third | inkwell cat-to 127.0.0.1 web'
fi

expect 'remove' dpkg -r inkwell
refuse 'the program is gone' ls /usr/bin/inkwell
refuse 'and the names' ls -L /usr/bin/scribed /usr/bin/scribe_cat
expect 'the configuration is kept' grep 'changed here' /etc/inkwell/collect.conf
expect 'the files are kept' ls -d /var/log/inkwell/web
expect 'the state is kept' ls -d /var/lib/inkwell-collect
if [ "$booted" ]; then refuse 'it was stopped' systemctl is-active inkwell-collect; fi

expect 'install again' dpkg -i /packages/new.deb
expect 'the names are there again' has 'scribe_cat' 'usage (message is stdin)'
if [ "$booted" ]; then
	refuse 'it is not started' systemctl is-active inkwell-collect
	expect 'start' systemctl start inkwell-collect
	await 'it takes what is sent' sh -c 'echo fourth | inkwell cat-to 127.0.0.1 web'
	await 'and all that was ever sent is there once' sh -c '[ "$(inkwell cat /var/log/inkwell/web | tr "\n" " ")" = "first second third fourth " ]'
fi

dpkg -P inkwell >/tmp/purge 2>&1 || echo 'FAIL: purge'
cat /tmp/purge
expect 'a purge says what it leaves' grep -E 'are left:.* /var/log/inkwell' /tmp/purge
expect 'and names the user' grep 'userdel inkwell' /tmp/purge
refuse 'the configurations are gone' ls /etc/inkwell
expect 'the files are kept' ls -d /var/log/inkwell/web
if [ "$booted" ]; then refuse 'nothing is enabled' ls /etc/systemd/system/multi-user.target.wants/inkwell-collect.service; fi
expect 'the old program is there' has '/usr/local/bin/scribed' 'the old one'
expect 'what it said can be done' sh -c "$(sed -n 's/.*when nothing of it is needed: //p' /tmp/purge) && userdel inkwell"
echo END
