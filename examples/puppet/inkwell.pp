# Inkwell by Puppet: a collector, and a forwarder that sends Apache's logs to it. The deb is where the machines find it: in a repository
# of your own, or as a file.
#
#   puppet parser validate examples/puppet/inkwell.pp
#
#   node 'logs.example.com' { class { 'inkwell::collect': listen => ['0.0.0.0:1463'] } }
#   node /^web/ { class { 'inkwell::forward': collectors => ['logs.example.com:1463'], files => { 'apache.access' => '/var/log/apache2/*access.log' } } }

class inkwell::package (
  Optional[String[1]] $source = undef, # /root/inkwell_1.0.0_amd64.deb; without it the package is in a repository
) {
  package { 'inkwell':
    ensure   => installed,
    provider => $source ? { undef => undef, default => 'dpkg' },
    source   => $source,
  }
}

class inkwell::collect (
  Array[String[1]] $listen = ['127.0.0.1:1463'],
  String[1]        $keep   = '30d',
) {
  require inkwell::package

  $addresses = join($listen.map |$address| { "listen=${address}\n" }, '')
  file { '/etc/inkwell/collect.conf':
    ensure       => file,
    owner        => 'root',
    group        => 'root',
    mode         => '0644',
    content      => "inkwell 1\n${addresses}<store>\ncategory=default\ntype=file\nfile_path=/var/log/inkwell\nrotate_period=daily\ncompress=gzip\nmax_size=1GB\nkeep=${keep}\n</store>\n",
    # A configuration with a mistake does not get into its place.
    validate_cmd => '/usr/bin/inkwell check %',
  }
  ~> exec { '/bin/systemctl reload-or-restart inkwell-collect':
    refreshonly => true,
  }
  -> service { 'inkwell-collect':
    ensure => running,
    enable => true,
  }
}

class inkwell::forward (
  Array[String[1]]                $collectors,
  Hash[String[1], String[1]]      $files = {},
) {
  require inkwell::package

  $services = join($collectors, ' ')
  $tails = join($files.map |$category, $path| { "<tail>\ncategory=${category}\npath=${path}\n</tail>\n" }, '')
  file { '/etc/inkwell/forward.conf':
    ensure       => file,
    owner        => 'root',
    group        => 'root',
    mode         => '0644',
    content      => "inkwell 1\n${tails}<store>\ncategory=default\ntype=buffer\nspool_dir=/var/lib/inkwell-forward/spool\nspool_max=8GB\n<primary>\ntype=network\nservice_list=${services}\nservice_order=listed\n</primary>\n</store>\n",
    validate_cmd => '/usr/bin/inkwell check %',
  }
  ~> exec { '/bin/systemctl reload-or-restart inkwell-forward':
    refreshonly => true,
  }
  -> service { 'inkwell-forward':
    ensure => running,
    enable => true,
  }
}
